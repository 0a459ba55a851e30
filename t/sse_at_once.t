# Each event leaves as it comes: the machine does not go on before the client
# has seen it.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Agent;
use OA::Client ();
use OA::Events;
use OA::Nginx;
use OA::Tls qw(make_certificates);
use OA::Util qw(temp_dir);

sub machine {
    return OA::Agent->new(@_, sub {
        my ($c, $r) = @_;
        $c->wait('head');
        $c->head($r->path =~ m{/close} ? (close => 1)
                 : $r->path =~ m{/length} ? (length => 9 * 4 + 30_000)
                 : ());
        for my $n (1 .. 4) {
            $c->wait('go');
            $c->event("data: $n\n");
            $c->event("data\n") if $r->path =~ m{/halves};
            $c->event("\n");
        }
        $c->wait('go');
        $c->event('data: ' . 'x' x 29_992 . "\n\n");
        return $c->end if $r->path =~ m{/length};
        $c->wait('go');
        $c->end;
    });
}
my %agent = (plain => machine(), tls => machine(tls => 1));

my $http2 = OA::Nginx->version < 1.025001 ? ' http2;' : '; http2 on;';
my $dir = temp_dir();
make_certificates($dir);

my $ng = OA::Nginx->new(http => <<"CONF");
    oa_sse_heartbeat 1h;            # would push out what was kept
    tcp_nopush on; postpone_output 64k; sendfile on; tcp_nodelay off;
    oa_trusted_certificate @{[ $agent{tls}->ca_file ]};
    server {
        listen 127.0.0.1:%%PORT_0%%;
        listen 127.0.0.1:%%PORT_1%%$http2
        location /plain/ { oa_sse_pass @{[ $agent{plain}->url ]}; }
        location /tls/   { oa_sse_pass @{[ $agent{tls}->url ]}; }
    }
    server {
        listen 127.0.0.1:%%PORT_2%% ssl;
        listen 127.0.0.1:%%PORT_3%% ssl$http2
        ssl_certificate $dir/cert.pem; ssl_certificate_key $dir/key.pem;
        location /plain/ { oa_sse_pass @{[ $agent{plain}->url ]}; }
    }
CONF

my %client = (
    'HTTP/1.1' => [ 0 ], 'HTTP/2' => [ 1, http2 => 1 ],
    'HTTP/1.1, TLS' => [ 2, tls => 1 ],
    'HTTP/2, TLS' => [ 3, tls => 1, http2 => 1 ],
);
my $body = '{"message":"hi"}';
my @cases = (
    (map { [ $_, 'plain', '/plain/' ] } sort keys %client),
    [ 'HTTP/1.1', 'tls', '/tls/' ], [ 'HTTP/2', 'tls', '/tls/' ],
    [ 'HTTP/2, TLS', 'plain', '/plain/', method => 'POST', body => $body ],
    [ 'HTTP/1.1', 'plain', '/plain/', method => 'POST', body => $body ],
    [ 'HTTP/1.1', 'plain', '/plain/close' ],
    [ 'HTTP/1.1', 'tls', '/tls/close' ],
    [ 'HTTP/1.1', 'plain', '/plain/length' ],
    [ 'HTTP/1.1', 'plain', '/plain/halves' ],
);

for my $case (@cases) {
    my ($client, $agent, $path, @more) = @$case;
    my ($port, @o) = (@{ $client{$client} }, @more);
    my $what = "$client, @more[1 .. $#more] $path";
    $agent = $agent{$agent};

    my $s = OA::Events->new($ng->port($port), $path, @o);
    is $s->status, 200, "$what: the head, before there is an answer";
    $agent->say('head');

    for my $n (1 .. 4) {
        $agent->say('go');
        my ($data) = $s->next->{data} =~ /(.*)/;
        is $data, $n, "$what: event $n";
        is $s->how_ended, '', 'and the stream goes on';
    }
    $agent->say('go');
    is length $s->next->{data}, 29_992, "$what: one of more than a buffer";
    $agent->say('go') if $path !~ m{/length};
    is $s->next->{data}, '[DONE]', "$what: the end";
    is $s->next, undef, 'the last';
    is $s->how_ended, 'complete', 'complete';
}

# an HTTP/1.0 client has no chunks to tell events apart
my $c = OA::Client->new($ng->port);
$c->send("GET /plain/ HTTP/1.0\r\nAccept: text/event-stream\r\n\r\n");
$agent{plain}->say('head');
my $in = '';
for my $n (1 .. 4) {
    $agent{plain}->say('go');
    while ($in !~ /\ndata: $n\n\n\z/ and sysread $c->socket, $in, 4096,
                                                 length $in) { }
    like $in, qr/\ndata: $n\n\n\z/, "HTTP/1.0: event $n";
}
$agent{plain}->say('go') for 1 .. 2;
1 while sysread $c->socket, $in, 65536, length $in;
like $in, qr/\[DONE\]\n\n\z/, 'HTTP/1.0: the end';

done_testing;
