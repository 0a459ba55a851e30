# A body that was discarded before an internal redirect is no message.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP qw(decode_json);

use OA::Agent;
use OA::Client;
use OA::Nginx;

my $agent = OA::Agent->new(sub {
    my ($c) = @_;
    $c->head;
    $c->end;
});
my $pass = 'oa_sse_pass ' . $agent->url . ';';

# "return" discards the body, of which the rest is yet to come

my $ng = OA::Nginx->new(http => <<"CONF");
    server {
        listen 127.0.0.1:%%PORT_0%%;
        location /seed  { error_page 302 = \@seed; return 302 /; }
        location /raw   { error_page 302 = \@raw; return 302 /; }
        location \@seed { $pass }
        location \@raw  { $pass oa_sse_dialect raw; }
    }
CONF

sub post {
    my ($path) = @_;
    my $c = OA::Client->new($ng->port);
    $c->send("POST $path HTTP/1.1\r\nHost: a\r\nContent-Length: 15\r\n\r\n");
    return $c->response;
}

my $r = post('/seed');
is $r->status, 400, 'seed: refused';
is decode_json($r->body)->{code}, 'message_invalid', 'there is no message';

$r = post('/raw');
is $r->status, 200, 'raw: passed on';
is +($agent->requests)[0]->header('Content-Length'), 0, 'without a body';

done_testing;
