# oa_replay and what goes with it: a wrong value fails nginx -t with its line.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";
use OA::Nginx;

my $routes = 'oa_routes t { domain a.example; source file routes.json; } ';

sub try {
    my ($conf) = @_;
    return OA::Nginx->test_config(
        env   => { KEY => 'key', FLY_MACHINE_ID => 'm1' },
        files => { 'oa.conf' => $conf }, http => "$routes include oa.conf;");
}

sub accepted {
    my ($conf) = @_;
    my ($exit, $err) = try($conf);
    is $exit, 0, "taken: $conf" or diag $err;
}

# The line with "# here" is the one to be named.
sub refused {
    my ($conf, $why) = @_;
    my $line = 1 + (() = substr($conf, 0, index $conf, '# here') =~ /\n/g);
    my ($exit, $err) = try("$conf\n");
    is $exit, 1, "refused: $conf";
    my ($emerg, @more) = $err =~ /^nginx: (\[emerg\].*)/mg;
    like $emerg // '', $why, 'and why';
    like $emerg // '', qr{ in \S+/oa\.conf:$line$}, 'and where';
    is @more, 0, 'in one line' or diag $err;
}

# A server with the line in question in its location.
sub location {
    my ($line, %o) = @_;
    my $server = $o{server} // 'oa_router t;';
    return "\nserver {\n    $server\n    location / {\n        $line # here\n"
        . "        $o{more}\n    }\n}\n";
}

sub location_refused {
    my ($line, $why, %o) = @_;
    refused(location($line, more => '', %o), $why);
}

sub location_accepted {
    my ($line, %o) = @_;
    accepted(location($line, more => '', %o));
}

location_accepted("oa_replay $_;") for '', 'format=header', 'format=json',
    'forward_credentials', 'prefer', 'timeout=1ms', 'timeout=600s',
    'timeout=10m', 'fallback=prefer_self', 'fallback=force_self',
    'cache=/*', 'cache=/a/*', 'cache=/a/*,10s', 'cache=/a/*,1h',
    'status=200', 'status=204', 'status=307', 'status=409',
    'format=json timeout=20s fallback=prefer_self prefer status=409';

for my $case (
    [ 'oops',                qr/"oops", expected format=/ ],
    [ 'format=xml',          qr/"format=xml", expected format=header\|json/ ],
    [ 'format=',             qr/"format="/ ],
    [ 'FORMAT=json',         qr/"FORMAT=json"/ ],
    [ 'prefer=1',            qr/"prefer=1"/ ],
    [ 'fallback=self',       qr/"fallback=self", expected.*prefer_self\|/ ],
    [ 'fallback=',           qr/"fallback="/ ],
    (map { [ "timeout=$_", qr/"timeout=\Q$_\E", expected .*1ms to 10m/ ] }
     '0', '20', '0s', '20x', '11m', '601s', '600001ms', '1h', '-1s', '1.5s',
     ' 1s', '99999999999999999999s'),
    [ 'timeout=',            qr/"timeout="/ ],
    (map { [ "status=$_", qr/"status=\Q$_\E", expected 200, 204, 307 or 409/ ] }
     '301', '302', '404', '500', '0', 'x', '3070', '-307'),
    (map { [ "cache=$_", qr/cache "\Q$_\E", expected a path/ ] }
     'a/*', '/a', '*', '/*/*', '/a*b', '/a/*,9s', '/a/*,', '/a/*,x',
     '/a/*,-1s', '/a;b/*', '/a b/*', "/a\x{e9}/*", 'host/a/*'),
    [ 'cache=',              qr/"cache="/ ],
    [ 'forward_credentials=on', qr/"forward_credentials=on"/ ],
    [ '""',                  qr/"", expected/ ])
{
    my ($param, $why) = @$case;
    $param = qq("$param") if $param =~ /[ ;]/;
    location_refused("oa_replay $param;", $why);
}

location_refused('oa_replay; oa_replay;', qr/"oa_replay" directive is dupl/);
refused("\noa_replay; # here", qr/"oa_replay" directive is not allowed/);
location_refused('oa_replay;', qr/"oa_replay".*"oa_router"/,
                 server => 'listen 8080;');
location_refused('oa_replay;', qr/"oa_replay".*"oa_router"/,
                 more => 'oa_router off;');

# cache= and what Fly ignores with it
location_refused("oa_replay cache=/* $_;", qr/cache/)
    for 'timeout=5s', 'fallback=prefer_self';
location_refused('oa_replay cache=/*;', qr/cache.*oa_replay_key/,
                 more => 'oa_replay_key env:KEY;');
location_refused('oa_replay cache=/*;', qr/cache.*oa_replay_key/,
                 server => 'oa_router t; oa_replay_key env:KEY;');

# a json answer without a body says nothing
location_refused('oa_replay format=json status=204;', qr/204/);

# agents are other people's code
location_refused('oa_replay format=json forward_credentials;',
                 qr/json never forwards/);

# headers of the replayed request need json
for my $header ('set_header X-A a', 'hide_header X-A') {
    location_refused('oa_replay format=header;', qr/json/,
                     more => "oa_replay_$header;");
    location_refused('oa_replay format=header;', qr/json/,
                     server => "oa_router t; oa_replay_$header;");
    location_accepted('oa_replay format=json;', more => "oa_replay_$header;");
    location_accepted('oa_replay;',
                      server => "oa_router t; oa_replay_$header;");
}
location_refused("oa_replay_set_header $_ x;", qr/name of a header/)
    for '"X A"', '"X:"', '""', '"X;"', "X\x{fc}";
location_refused("oa_replay_hide_header $_;", qr/name of a header/)
    for '"X A"', '"X:"', '""', '"X\"Y"';
location_refused('oa_replay_set_header X;', qr/number of arguments/);
location_refused('oa_replay_hide_header X Y;', qr/number of arguments/);

# keys
location_accepted('oa_replay_key env:KEY per=app;');
location_accepted('oa_replay_key env:KEY per=machine;');
location_refused('oa_replay_key env:KEY per=user;',
                 qr/"per=user", expected per=app or per=machine/);
location_refused('oa_replay_key env:KEY; oa_replay_key env:KEY;', qr/dupl/);
location_refused('oa_machine_key env:KEY; oa_machine_key env:KEY;', qr/dupl/);

# large bodies
my $named = 'location @direct { return 204; }';
location_refused("oa_replay_large $_;", qr/"\Q$_\E".*named location/)
    for 'direct', '@', '/direct', 'http://x';
location_refused('oa_replay_large @a; oa_replay_large @b;', qr/dupl/);

for my $size ('0', '1048577', '2m', '1g') {
    location_accepted('oa_replay; oa_replay_large @direct;',
                      more => "client_max_body_size $size;");
    location_accepted('oa_replay; oa_replay_large @direct;',
                      server => "oa_router t; client_max_body_size $size;");
}
for my $size ('1', '1k', '1048576', '1m') {
    location_refused('oa_replay; oa_replay_large @direct;',
                     qr/oa_replay_large.*client_max_body_size.*0 or above 1m/,
                     more => "client_max_body_size $size;");
    location_refused('oa_replay; oa_replay_large @direct;',
                     qr/oa_replay_large.*client_max_body_size/,
                     server => "oa_router t; client_max_body_size $size;");
}
location_refused('oa_replay; oa_replay_large @direct;',
                 qr/oa_replay_large.*client_max_body_size/);
refused("oa_replay_large \@direct;\nclient_max_body_size 1m;\nserver {\n"
        . "oa_router t;\nlocation / {\noa_replay; # here\n}\n}",
        qr/oa_replay_large.*client_max_body_size/);
refused("oa_replay_large \@direct;\nclient_max_body_size 2m;\nserver {\n"
        . "oa_router t;\nlocation / {\nclient_max_body_size 5k; oa_replay; "
        . "# here\n}\n}", qr/oa_replay_large.*client_max_body_size/);
accepted('oa_replay_large @direct; client_max_body_size 5k; server { '
         . 'oa_router t; location / { client_max_body_size 0; oa_replay; } }');

done_testing;
