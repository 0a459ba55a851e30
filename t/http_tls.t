# Over TLS an exchange is made with whom the URL names, proven by a certificate
# that the trusted ones vouch for; else with nobody.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time);

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Fetch qw(fetch_nginx fetch);
use OA::Jwks;
use OA::Resolver;
use OA::Util qw(slurp temp_dir spew);

my $good = OA::Jwks->new(tls => 1, names => [ 'good.example', 'localhost',
                                              '127.0.0.1' ]);
my $wild = OA::Jwks->new(tls => 1, names => [ '*.wild.example' ]);
my $old = OA::Jwks->new(tls => 1, names => [ 'good.example' ], expired => 1);
my $stranger = OA::Jwks->new(tls => 1, names => [ 'good.example' ]);
my $plain = OA::Jwks->new;

my $dns = OA::Resolver->new(map { $_ => '127.0.0.1' }
    qw(good.example bad.example a.wild.example a.b.wild.example));

my $tmp = temp_dir();
spew("$tmp/ca.pem", join '', map { slurp($_->ca_file) } $good, $wild, $old);
chmod 0644, "$tmp/ca.pem";

# locations, each with the URL it asks

my %at = (
    name      => 'https://good.example:' . $good->port,
    address   => 'https://127.0.0.1:' . $good->port,
    localhost => 'https://localhost:' . $good->port,
    upper     => 'https://GOOD.example:' . $good->port,
    bad       => 'https://bad.example:' . $good->port,
    wild      => 'https://a.wild.example:' . $wild->port,
    wilder    => 'https://a.b.wild.example:' . $wild->port,
    old       => 'https://good.example:' . $old->port,
    stranger  => 'https://good.example:' . $stranger->port,
    plain     => 'https://127.0.0.1:' . $plain->port . ' timeout=5s',
    silent    => 'https://good.example:' . $good->port . ' timeout=1s',
);

my $http = "resolver @{[ $dns->address ]} ipv6=off; "
           . "oa_trusted_certificate $tmp/ca.pem;";
my $ng = fetch_nginx(http => $http, server => join ' ', map {
    "location /$_ { oa_test_fetch $at{$_}; }"
} keys %at);

for my $path (qw(/name /address /localhost /upper /wild)) {
    my $f = fetch($ng, $path);
    is $f->{error}, '', "$path: no error";
    is $f->{answer}, '{"keys":[]}', "$path: an answer";
}

for my $case ([ '/bad',      qr/bad\.example/, $good ],
              [ '/wilder',   qr/a\.b\.wild\.example/, $wild ],
              [ '/old',      qr/certificate has expired/, $old ],
              [ '/stranger', qr/unable to get local issuer|self.signed/,
                $stranger ],
              [ '/plain',    qr/\w/, $plain ])
{
    my ($path, $why, $peer) = @$case;
    my $before = $peer->count;
    my $f = fetch($ng, $path);
    like $f->{error}, $why, "$path: refused";
    is $f->{answer}, '', "$path: no answer";
    is $peer->count, $before, "$path: nothing was asked";
}

$good->fault(silent => 1);
my $start = time;
is fetch($ng, '/silent')->{error}, 'no connection in time',
    'a handshake that does not come';
cmp_ok time - $start, '<', 6, 'in time';

$good->fault(truncate => 1, body => 'x' x 1000);
isnt fetch($ng, '/name')->{error}, '', 'cut short';

$good->fault(body => 'x' x 60000);
is fetch($ng, '/name')->{answer}, 'x' x 60000, 'a large answer';

$good->fault(garbage => "HTTP/1.1 200 OK\r\n\r\nhalf");
like fetch($ng, '/name')->{error}, qr/no length/, 'an end that nobody tells';

# another authority, at a reload

spew("$tmp/ca.pem", slurp($stranger->ca_file));
chmod 0644, "$tmp/ca.pem";
is fetch($ng, '/stranger')->{answer}, '', 'a new file alone changes nothing';
ok $ng->reload, 'a reload';
is fetch($ng, '/stranger')->{answer}, '{"keys":[]}', 'trusted now';
isnt fetch($ng, '/name')->{error}, '', 'no longer trusted';

# the system's

$ng = fetch_nginx(server => "location / { oa_test_fetch $at{address}; }");
like fetch($ng, '/')->{error}, qr/unable to get local issuer|self.signed/,
    'the system does not trust it';

done_testing;
