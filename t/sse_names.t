# Where the machine is: an address, or a name that is resolved for each stream,
# all of whose addresses are tried.

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
use OA::Util qw(free_port wait_for);

sub agent {
    my ($name, %o) = @_;
    return OA::Agent->new(%o, sub {
        my ($c, $r) = @_;
        $c->head;
        $c->event("data: $name " . $r->header('Host') . "\n\n");
        $c->end;
    });
}

my $four = agent('four');
my $port = $four->port;
my $six = agent('six', address => '::1');
my $p6 = $six->port;
my $none = free_port();

# a machine that has moved: of the same port, at another address
my $moved = agent('moved', address => '127.0.0.2');
$moved->stop;
$moved->{port} = $port;
$moved->start;

my $dns = OA::Resolver->new(
    'one.internal'  => '127.0.0.1',
    'two.internal'  => [ '127.0.0.99', '127.0.0.98', '127.0.0.1' ],
    'six.internal'  => [ '::1' ],
    'both.internal' => [ '127.0.0.99', '::1' ],
    'dead.internal' => [ '127.0.0.99', '127.0.0.98' ],
    'many.internal' => [ map { "127.0.0.$_" } 100 .. 120 ],
    'moves.internal' => '127.0.0.1',
);

my $ng = OA::Nginx->new(http => <<"CONF");
    resolver @{[ $dns->address ]};
    resolver_timeout 1s;
    server {
        listen 127.0.0.1:%%PORT_0%%;
        location /four  { oa_sse_pass http://127.0.0.1:$port; }
        location /six   { oa_sse_pass http://[::1]:$p6; }
        location /long  { oa_sse_pass http://[0:0:0:0:0:0:0:1]:$p6/x; }
        location /local { oa_sse_pass http://LocalHost:$port?x; }
        location /refused { oa_sse_pass http://127.0.0.1:$none; }
        location /name  { oa_sse_pass http://\$arg_name.internal:$port
                                      allow=internal; }
        location /name6 { oa_sse_pass http://\$arg_name.internal:$p6
                                      allow=.INTERNAL; }
        location /fixed { oa_sse_pass http://ONE.internal:$port; }
        location /var   { oa_sse_pass http://\$arg_name:$p6
                                      allow=127.0.0.1 allow=[::1]; }
    }
CONF

# The event, or the code of the end.
sub said {
    my ($path) = @_;
    my $s = OA::Events->new($ng->port, $path);
    my ($first, @more) = map { $_->{data} } $s->all;
    is scalar @more, $first =~ /error/ ? 0 : 1, "$path: one end";
    return $first =~ /^\{/ ? decode_json($first)->{code} : $first;
}

is said('/four'), "four 127.0.0.1:$port", 'IPv4';
is said('/six'), "six [::1]:$p6", 'IPv6';
is said('/long'), "six [0:0:0:0:0:0:0:1]:$p6", 'as it was written';
is said('/local'), "four LocalHost:$port", 'localhost';
is said('/refused'), 'machine_unreachable', 'refused';
is $dns->count, 0, 'no name was asked for';

is said('/fixed'), "four ONE.internal:$port", 'a name';
is said('/name?name=one'), "four one.internal:$port", 'by a variable';
is said('/name?name=two'), "four two.internal:$port",
    'the first two addresses refuse';
is said('/name6?name=six'), "six six.internal:$p6", 'a name of IPv6 alone';
is said('/name6?name=both'), "six both.internal:$p6", 'of both';
is said('/name?name=dead'), 'machine_unreachable', 'all refuse';
is said('/name?name=many'), 'machine_unreachable', 'many do';
is said('/name?name=nowhere'), 'machine_unreachable', 'there is no such name';
like $ng->log, qr/"nowhere\.internal": Host not found/, 'says the log';
is said('/var?name=[::1]'), "six [::1]:$p6", 'an address by a variable';

# resolved again once the time of an answer is over, here a second

is said('/name?name=moves'), "four moves.internal:$port", 'at one address';
my $n = $dns->count('moves.internal', 'A');
said('/name?name=moves') for 1 .. 3;
cmp_ok $dns->count('moves.internal', 'A') - $n, '<=', 1,
    'is not asked for each time';
$dns->set('moves.internal' => '127.0.0.2');
ok +(wait_for { said('/name?name=moves') eq "moved moves.internal:$port" } 10),
    'at another';

# several at once are one question, and one that gives up does not matter
$dns->set('new.internal' => '127.0.0.1');
$dns->silent(1);
my @s = map { OA::Events->new($ng->port, '/name?name=new') } 1 .. 5;
$_->head for @s;
$s[0]->close;
is decode_json($s[1]->next->{data})->{code}, 'machine_unreachable',
    'a name server that says nothing';
like $ng->log, qr/"new\.internal": Operation timed out/, 'says the log';
$_->wait_end for @s[1 .. 4];
$dns->silent(0);
is said('/name?name=new'), "four new.internal:$port", 'speaks again';

for my $url ('http://one.internal', 'http://$oa_machine_host:1/',
             'https://$oa_flycast_host')
{
    my ($exit, $text) = OA::Nginx->test_config(
        http => "server { location / { oa_sse_pass $url; } }");
    is $exit, 1, "$url without a resolver: refused";
    like $text, qr/of "oa_sse_pass" is a name, which needs a "resolver"/,
        'told';
}
for my $url ($four->url, $six->url, 'http://localhost', 'https://localhost:1')
{
    my ($exit, $text) = OA::Nginx->test_config(
        http => "server { location / { oa_sse_pass $url; } }");
    is $exit, 0, "$url needs none" or diag $text;
}

done_testing;
