# The machine's bearer is ours: its own, a secret, a variable's, or none.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";
use Digest::SHA qw(hmac_sha256);
use MIME::Base64 qw(encode_base64url);

use OA::Agent;
use OA::Events;
use OA::Nginx;
use OA::Routes qw(route routes_file);

my $agent = OA::Agent->new(sub {
    my ($c) = @_;
    $c->head;
    $c->event("data: [DONE]\n\n");
    $c->end;
});

my $pass = 'oa_sse_pass ' . $agent->url . ';';
my $routes = routes_file(
    map { route($_, route_id => "id-$_", access => 'public') } 'a', 'b');

my $ng = OA::Nginx->new(
    env   => { KEY => 'key', SECRET => 's3cret+/=' },
    files => { 'routes.json' => $routes, 'token' => "of-a-file\n" },
    http  => <<"CONF");
    oa_routes t {
        domain openagents.example;
        source file routes.json;
    }
    oa_machine_key env:KEY;
    server {
        listen 127.0.0.1:%%PORT_0%%;
        oa_router t;
        set \$empty "";
        location /default  { $pass }
        location /env      { $pass oa_sse_token env:SECRET; }
        location /file     { $pass oa_sse_token file:token; }
        location /variable { $pass oa_sse_token \$http_x_token; }
        location /text     { $pass oa_sse_token \$oa_route_id-\$arg_x; }
        location /empty    { $pass oa_sse_token \$empty; }
        location /off      { $pass oa_sse_token off; }
    }
    server {
        listen 127.0.0.1:%%PORT_1%%;
        oa_sse_token env:SECRET;
        location /none     { oa_sse_token \$oa_machine_token; $pass }
        location /inherits { $pass }
        location /off      { $pass oa_sse_token off; }
    }
CONF

sub token {
    my ($path, %o) = @_;
    my $host = $o{host} // 'a';
    my $n = $agent->requests;
    my $s = OA::Events->new($ng->port($o{port} // 0), $path,
        host => "$host.openagents.example",
        headers => [ Authorization => 'Bearer client',
                     @{ $o{headers} // [] } ]);
    is $s->wait_end, 'complete', "$path: an answer";
    return $s->status if $s->status != 200;
    $agent->wait_requests($n + 1);
    return join ', ', (map { $$_[1] } grep { lc $$_[0] eq 'authorization' }
                       @{ ($agent->requests)[$n]->headers });
}

for my $host ('a', 'b') {
    is token('/default', host => $host),
        'Bearer ' . encode_base64url(hmac_sha256("id-$host", 'key')),
        "$host: the machine's own";
}
is token('/env'), 'Bearer s3cret+/=', 'of the environment';
is token('/file'), 'Bearer of-a-file', 'of a file';
is token('/variable', headers => [ 'X-Token' => 'x y' ]), 'Bearer x y',
    'of a variable';
is token('/variable'), '', 'of a variable that is not there';
is token('/variable', headers => [ 'X-Token' => "a\x01b" ]), 400,
    'what no header may have';
is token('/text?x=1'), 'Bearer id-a-1', 'of a text with variables';
is token('/empty'), '', 'an empty one';
is token('/off'), '', 'none';
is token('/none', port => 1), '', 'without a router there is no own one';
is token('/inherits', port => 1), 'Bearer s3cret+/=', 'inherited';
is token('/off', port => 1), '', 'and switched off';

# a file is read with the configuration
$ng->write_file('token' => 'another');
is token('/file'), 'Bearer of-a-file', 'a new file alone changes nothing';
ok $ng->reload, 'a reload';
is token('/file'), 'Bearer another', 'another token';

my $log = $ng->log;
unlike $log, qr/s3cret|of-a-file|another|x y/, 'none is in the log';
like $log, qr/header "Authorization" for the machine has a control char/,
    'what was refused is';

my %wrong = (
    'secret'          => qr/env:NAME|file:/,
    'env:MISSING'     => qr/MISSING/,
    'file:/none/such' => qr{/none/such},
    '$nothing'        => qr/unknown "nothing" variable/,
);
for my $value (sort keys %wrong) {
    my ($exit, $text) = OA::Nginx->test_config(
        http => "server { location / { $pass oa_sse_token $value; } }");
    is $exit, 1, "$value: refused";
    like $text, $wrong{$value}, "$value: told";
}

done_testing;
