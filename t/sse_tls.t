# Over TLS a machine is spoken to only where a certificate proves that it is
# the one of the URL: nothing, and no token, goes to another.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP qw(decode_json);

use OA::Agent;
use OA::Events;
use OA::Nginx;
use OA::Resolver;
use OA::Util qw(slurp spew temp_dir);

sub agent {
    return OA::Agent->new(@_, sub {
        my ($c, $r) = @_;
        $c->head;
        $c->event('data: ' . length($r->body) . "\n\n");
        $c->event('data: ' . 'x' x 100_000 . "\n\n");
        $c->end;
    });
}

my $good = agent(tls => 1, names => [ 'good.example', 'localhost',
                                      '127.0.0.1' ]);
my $wild = agent(tls => 1, names => [ '*.wild.example' ]);
my $old = agent(tls => 1, names => [ 'good.example' ], expired => 1);
my $stranger = agent(tls => 1, names => [ 'good.example' ]);
my $six = agent(tls => 1, names => [ '::1' ], address => '::1');
my $local = agent(tls => 1, names => [ 'localhost' ]);
my $plain = OA::Agent->new(read => 0, sub {
    my ($c) = @_;
    $c->head;
    $c->end;
});

# those that are refused may say so to the agent
$_->expect_death(qr/./) for $good, $wild, $old, $stranger, $local, $plain;

my $dns = OA::Resolver->new(map { $_ => '127.0.0.1' }
    qw(good.example bad.example a.wild.example a.b.wild.example));

my $tmp = temp_dir();
spew("$tmp/ca.pem", join '', map { slurp($_->ca_file) }
    $good, $wild, $old, $six, $local);
chmod 0644, "$tmp/ca.pem";

my %url = (
    name      => 'https://good.example:' . $good->port,
    address   => $good->url,
    localhost => 'HTTPS://localhost:' . $good->port,
    upper     => 'https://GOOD.example:' . $good->port,
    wild      => 'https://a.wild.example:' . $wild->port,
    six       => $six->url,
    onlylocal => 'https://localhost:' . $local->port,
    variable  => 'https://$arg_h.example:' . $good->port,
    bad       => 'https://bad.example:' . $good->port,
    wilder    => 'https://a.b.wild.example:' . $wild->port,
    old       => 'https://good.example:' . $old->port,
    stranger  => 'https://good.example:' . $stranger->port,
    notlocal  => 'https://127.0.0.1:' . $local->port,
    plain     => 'https://127.0.0.1:' . $plain->port,
);

my $ng = OA::Nginx->new(http => <<"CONF");
    resolver @{[ $dns->address ]} ipv6=off;
    oa_trusted_certificate $tmp/ca.pem;
    oa_sse_dialect raw;
    server {
        listen 127.0.0.1:%%PORT_0%%;
        client_max_body_size 6m;
        @{[ map { "location /$_ { oa_sse_pass $url{$_}"
                  . ($_ eq 'variable' ? ' allow=example' : '') . '; }' }
            sort keys %url ]}
    }
CONF

for my $path (qw(name address localhost upper wild six onlylocal),
              'variable?h=good')
{
    my $s = OA::Events->new($ng->port, "/$path");
    is $s->next->{data}, 0, "$path: an event";
    is length $s->next->{data}, 100_000, "$path: a large one";
    is $s->next->{data}, '[DONE]', "$path: the end";
}

my $s = OA::Events->new($ng->port, '/name', method => 'POST',
                        body => 'x' x 5e6);
is $s->next->{data}, 5e6, 'a large body';

my %agents = (bad => $good, wilder => $wild, old => $old, plain => $plain,
              stranger => $stranger, notlocal => $local);
$agents{'variable?h=bad'} = $good;
my %why = (
    bad      => qr/certificate is for another name/,
    wilder   => qr/certificate is for another name/,
    notlocal => qr/certificate is for another name/,
    'variable?h=bad' => qr/certificate is for another name/,
    old      => qr/certificate has expired/,
    stranger => qr/unable to get local issuer|self.signed/,
    plain    => qr/the TLS handshake failed/,
);

for my $path (sort keys %agents) {
    my $n = $agents{$path}->requests;
    my $s = OA::Events->new($ng->port, "/$path");
    my ($name) = $s->header('OA-Stream');
    my @events = $s->all;
    is @events, 1, "$path: one event";
    is decode_json($events[0]{data})->{code}, 'machine_unreachable',
        "$path: the end";
    is $agents{$path}->requests, $n, "$path: nothing was asked";
    like $ng->log, qr/\Q$name\E.*$why{$path}/, "$path: why";
}

# without trusted certificates of ours the system's count
my $other = OA::Nginx->new(http => <<"CONF");
    server {
        listen 127.0.0.1:%%PORT_0%%;
        location / { oa_sse_pass $url{address}; }
    }
CONF
$s = OA::Events->new($other->port, '/');
is decode_json($s->next->{data})->{code}, 'machine_unreachable',
    'the system does not trust it';

done_testing;
