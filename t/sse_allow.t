# Our token goes to machines of ours alone: where a host is made of variables it
# is looked at for each request.

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
use OA::Routes qw(route routes_file);

my $agent = OA::Agent->new(sub {
    my ($c, $r) = @_;
    $c->head;
    $c->event('data: ' . $r->header('Host') . "\n\n");
    $c->end;
});
my $port = $agent->port;

my @ours = qw(ok.internal deep.ok.internal internal m1.vm.oa-alice.internal
              oa-alice.flycast a.example b.example);
my @theirs = qw(evil.com okinternal internal.evil.com evil.com@internal
                xinternal);
my $dns = OA::Resolver->new(map { $_ => '127.0.0.1' } @ours, @theirs);

my $ng = OA::Nginx->new(
    files => { 'routes.json' => routes_file(
        route('alice', app => 'oa-alice', machine => 'm1',
              access => 'public')) },
    http  => <<"CONF");
    resolver @{[ $dns->address ]} ipv6=off;
    oa_routes t {
        domain openagents.example;
        source file routes.json;
    }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        location /arg  { oa_sse_pass http://\$arg_h:$port allow=internal; }
        location /two  { oa_sse_pass http://\$arg_h:$port
                                     allow=.a.EXAMPLE allow=b.example; }
        location /port { oa_sse_pass http://127.0.0.1:\$arg_h
                                     allow=127.0.0.1; }
        location /whole { oa_sse_pass http://\$arg_h allow=internal; }
        location /part { oa_sse_pass http://\$arg_h.internal:$port
                                     allow=ok.internal; }
    }
    server {
        listen 127.0.0.1:%%PORT_1%%;
        oa_router t;
        location /machine { oa_sse_pass http://\$oa_machine_host:$port; }
        location /flycast { oa_sse_pass http://\${oa_flycast_host}:$port/x; }
    }
CONF

# The event, or the code of the end.
sub said {
    my ($path, %o) = @_;
    my $s = OA::Events->new($ng->port($o{port} // 0), $path,
                            host => 'alice.openagents.example', %o);
    $s->wait_end;
    return $s->status . ' ' . decode_json($s->raw)->{code}
        if $s->status != 200;
    my @data = map { $_->{data} } $s->all;
    return $data[0] if $data[0] !~ /^\{/;
    return '200 ' . join ' ', map { decode_json($_)->{code} } @data;
}

my $refused = '200 machine_unreachable';

for my $host (qw(ok.internal deep.ok.internal internal OK.Internal)) {
    is said("/arg?h=$host"), "$host:$port", "$host: ours";
}
for my $host (@theirs, '127.0.0.1', '[::1]', 'evil.com:80',
              'evil.com/.internal', 'evil.com?.internal', 'evil.com%23.internal', '',
              '.', '..', '.internal', 'x@ok.internal', 'evil.com\.internal')
{
    my $n = $agent->connections;
    my $got = said("/arg?h=$host");
    is $got, $refused, "'$host': not ours";
    is $agent->connections, $n, 'nobody was asked';
}
is $dns->count($_), 0, "$_: nor was it looked up"
    for qw(evil.com okinternal xinternal internal.evil.com);

is said('/two?h=a.example'), "a.example:$port", 'one of several';
is said('/two?h=b.example'), "b.example:$port", 'another';
is said('/two?h=internal'), $refused, 'none of them';
is said("/port?h=$port"), "127.0.0.1:$port", 'a port';
is said("/port?h=1\@evil.com:$port"), $refused, 'more than a port';
is said("/port?h=x"), $refused, 'no port';
is said("/whole?h=ok.internal:$port"), "ok.internal:$port", 'host and port';
is said("/whole?h=evil.com:$port"), $refused, 'another host and port';
is said('/part?h=ok'), "ok.internal:$port", 'a part of a host';
is said('/part?h=x'), $refused, 'another part';
like $ng->log, qr/oa_sse_pass: host "x\.internal" is not allowed/, 'logged';

is said('/arg?h=evil.com', accept => undef), '502 machine_unreachable',
    'to who is no client of events, too';

is said('/machine', port => 1), "m1.vm.oa-alice.internal:$port",
    'the machine of a route';
is said('/flycast', port => 1), "oa-alice.flycast:$port", 'its app';

done_testing;
