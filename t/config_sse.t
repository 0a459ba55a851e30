# oa_sse_pass and what goes with it: a wrong value fails nginx -t with its line
# and what was expected.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Nginx;

my $routes = 'oa_routes t { domain a.example; source file routes.json; } ';
my $resolver = 'resolver 127.0.0.1;';

sub try {
    my ($conf, %o) = @_;
    return OA::Nginx->test_config(
        env   => { TOKEN => 'token', EMPTY => '', FLY_MACHINE_ID => 'm1',
                   LINES => "one\ntwo\n", CRLF => "one\r\n", SPACE => 'a b',
                   UMLAUT => "t\xc3\xb6ken", LAST => "token\n",
                   %{ $o{env} // {} } },
        files => { 'oa.conf' => "$conf\n", token => "token\n" },
        http  => "$routes include oa.conf;");
}

sub accepted {
    my ($conf, %o) = @_;
    my ($exit, $err) = try($conf, %o);
    is $exit, 0, "taken: $conf" or diag $err;
    unlike $err, qr/\[warn\]/, 'without a word';
}

# The line with "# here" is the one to be named.
sub refused {
    my ($conf, $why, %o) = @_;
    my $line = 1 + (() = substr($conf, 0, index $conf, '# here') =~ /\n/g);
    my ($exit, $err) = try($conf, %o);
    is $exit, 1, "refused: $conf";
    my ($emerg, @more) = $err =~ /^nginx: (\[\w+\].*)/mg;
    like $emerg // '', qr/^\[emerg\]/, 'with an error';
    like $emerg // '', $why, 'and why';
    like $emerg // '', qr{ in \S+/oa\.conf:$line$}, 'and where';
    is @more, 0, 'in one line' or diag $err;
    unlike $err, qr/HUSH/, 'and no password is shown';
}

sub location {
    my ($line, $http) = @_;
    return ($http // $resolver)
        . "\nserver {\n    listen 127.0.0.1:1;\n    oa_router t;\n"
        . "    location / {\n        $line # here\n    }\n}\n";
}

# Each in a location of its own.
sub locations_accepted {
    my ($http, @lines) = @_;
    my $n = 0;
    accepted("$http server { listen 127.0.0.1:1; oa_router t; "
             . join('', map { $n++; "location /$n { $_ }\n" } @lines) . '}');
}

sub location_refused {
    my ($line, $why, @more) = @_;
    refused(location($line, @more), $why);
}

# URLs

locations_accepted('', map { "oa_sse_pass $_;" } qw(http://127.0.0.1
    http://127.0.0.1:18789/api/stream http://[::1]:18789/ http://localhost/a
    HTTP://LOCALHOST:1 http://127.0.0.1/$uri?a=$arg_a http://127.0.0.1?a=b
    https://192.0.2.1/ https://[2001:db8::1]:8443/x));

locations_accepted($resolver, map { "oa_sse_pass $_;" } qw(http://a.example
    https://a.example:8443/x http://$oa_machine_host:18789/api/stream
    http://$oa_flycast_host/api/stream https://$oa_machine_host),
    '"http://${oa_machine_host}:18789/a"',
    'http://$host:80/a allow=a.example',
    '"http://$host/a" allow=.a.example allow=internal',
    'http://a.internal allow=internal', 'http://10.0.0.$arg_n allow=10.0.0.1');

for my $case (
    [ 'http://',                 qr/invalid host.*expected "HOST\[:PORT\]"/ ],
    [ 'http:///a',               qr/invalid host/ ],
    [ 'http://:18789/a',         qr/invalid host in the URL ":18789"/ ],
    [ 'http://?a=b',             qr/invalid host/ ],
    [ 'http://u:HUSH@a.example', qr/invalid host.*without a user/ ],
    [ 'http://unix:/run/a.sock', qr/invalid host/ ],
    [ 'http://a.example:0/',
      qr/invalid host.*"a.example:0": invalid port/ ],
    [ 'http://a.example:65536/', qr/invalid host.*invalid port/ ],
    [ 'http://a.example:x/',     qr/invalid host.*invalid port/ ],
    [ 'http://[::1/',            qr/invalid host.*invalid host/ ],
    [ 'http://[x]/',             qr/invalid host/ ],
    [ 'http://$oa_machine_host:187890/',
      qr/invalid host in the URL "\$oa_machine_host:187890": invalid port/ ],
    [ 'http://$oa_machine_host:/',    qr/invalid host/ ],
    [ 'a.example',
      qr/"a.example", expected one that begins with "http:/ ],
    [ '/api/stream',             qr/expected one that begins with "http:/ ],
    [ 'ftp://a.example',         qr/expected one that begins with/ ],
    [ '$scheme://a.example',     qr/expected one that begins with/ ],
    [ '""',                      qr/expected one that begins with/ ],
    [ '"http://a.example/b c"',  qr/expected one without spaces/ ],
    [ '"http://a.example/\t"',   qr/expected one without spaces/ ],
    [ 'http://a.example/#b',     qr/expected one without .* and "#"/ ],
    [ 'http://$host/',
      qr/host "\$host" names, expected \$oa_machine/ ],
    [ 'http://$http_x_host:80',  qr/\$http_x_host.*"allow=SUFFIX"/ ],
    [ 'http://a.example$uri',    qr/whatever host "\$uri" names/ ],
    [ '"http://${host}/"',       qr/whatever host "\$host"/ ],
    [ 'http://$oa_machine_host2', qr/whatever host "\$oa_machine_host2"/ ],
    [ 'http://a.example:$arg_p/', qr/whatever host "\$arg_p"/ ],
    [ 'http://$oa_machine_host$arg_x/', qr/whatever host "\$arg_x"/ ],
    [ 'http://a.example suffix=a.example',
      qr/"suffix=a.example", expected "allow=SUFFIX"/ ],
    [ 'http://a.example allow=', qr/"allow=", expected "allow=SUFFIX"/ ],
    [ 'http://$host allow=.',    qr/has an "allow" without a host/ ],
    [ 'http://a.example allow=b.example',
      qr/host "a.example" ends with none/ ],
    [ 'http://xb.example allow=b.example',
      qr/ends with none of the suffixes/ ],
    [ '',                        qr/invalid number of arguments/ ],
    [ 'http://127.0.0.1; oa_sse_pass http://127.0.0.1', qr/duplicate/ ])
{
    my ($value, $why) = @$case;
    location_refused("oa_sse_pass $value;", $why);
}

location_refused("oa_sse_pass $_;",
                 qr/host "\S+" of "oa_sse_pass" is a name, .*"resolver"/, '')
    for qw(http://a.example/ http://$oa_machine_host:18789/x);

refused("oa_sse_pass http://127.0.0.1; # here", qr/not allowed here/);
refused("server {\noa_sse_pass http://127.0.0.1; # here\n}", qr/not allowed/);
accepted('server { location / { oa_sse_pass http://127.0.0.1; '
         . 'if ($arg_a) { oa_sse_pass http://127.0.0.2; } } }');

# dialects

locations_accepted('', map { "oa_sse_dialect $_;" } qw(seed openclaw raw));
refused("oa_sse_dialect $_; # here",
        qr/invalid dialect "\Q$_\E", expected "seed", "openclaw" or "raw"/)
    for qw(Seed openai see seeds);
refused('oa_sse_dialect ""; # here', qr/invalid dialect ""/);
refused("oa_sse_dialect raw;\noa_sse_dialect raw; # here", qr/is duplicate/);

# tokens

locations_accepted('', map { "oa_sse_token $_;" } qw(env:TOKEN env:LAST
    file:token $oa_machine_token off));

for my $case (
    [ 'HUSH',          qr/a secret must be "env:NAME" or "file:PATH"/ ],
    [ '"Bearer $a"',   qr/a secret must be/ ],
    [ '""',            qr/a secret must be/ ],
    [ 'env:GONE',      qr/"GONE" is not set/ ],
    [ 'env:EMPTY',     qr/"env:EMPTY" is empty/ ],
    [ 'file:gone',     qr/open\(\) "\S+gone" failed/ ],
    (map { [ "env:$_", qr/"env:$_" holds no token, expected visible/ ] }
     qw(LINES CRLF SPACE UMLAUT)),
    [ '$',             qr/invalid variable name/ ],
    [ 'env:TOKEN; oa_sse_token off', qr/duplicate/ ],
    [ 'off; oa_sse_token $host',     qr/duplicate/ ])
{
    my ($value, $why) = @$case;
    refused("\noa_sse_token $value; # here", $why);
}

# headers

locations_accepted('', map { "oa_sse_set_header $_;" } 'X-A a', 'X-A ""',
    'Host a.example', 'fly-force-instance-id $oa_machine', 'Cookie a=b',
    'x_y a$host');

refused("oa_sse_set_header $_ x; # here", qr/invalid name of a header/)
    for '"X A"', '"X:"', '""', '"X\r"', "X\xc3\xbc";
refused("oa_sse_set_header $_ x; # here", qr/header "$_" cannot be set/)
    for qw(Connection content-length Transfer-Encoding TE);
refused('oa_sse_set_header authorization x; # here',
        qr/"authorization" cannot be set, expected "oa_sse_token"/);
refused('oa_sse_set_header X-A; # here', qr/invalid number of arguments/);

# numbers

my $time = qr/expected a time above 0 and of at most 24d/;

for my $name (qw(heartbeat keep idle_timeout max_duration)) {
    locations_accepted('', map { "oa_sse_$name $_;" }
                           qw(1ms 15 15s 1h30m 24d));
    refused("oa_sse_$name $_; # here",
            qr/invalid value "\Q$_\E" of "oa_sse_$name", $time/)
        for qw(0 15x 25d 99999999999999999999s);
    refused("oa_sse_$name 1s;\noa_sse_$name 1s; # here", qr/is duplicate/);
}

locations_accepted('', map { "oa_sse_buffer $_;" } qw(8k 256k 1m 16m 9000));
refused("oa_sse_buffer $_; # here",
        qr/"\Q$_\E" of "oa_sse_buffer", expected a size between 8k and 16m/)
    for qw(0 8191 17m x);
refused("oa_sse_buffer 8k;\noa_sse_buffer 8k; # here", qr/is duplicate/);

locations_accepted('', map { "oa_sse_max_streams $_;" } qw(0 1 100000));
refused("oa_sse_max_streams $_; # here",
        qr/"\Q$_\E" of "oa_sse_max_streams", expected a number up to 100000/)
    for qw(-1 100001 1k x 20s);
refused("oa_sse_max_streams 1;\noa_sse_max_streams 1; # here",
        qr/is duplicate/);

# a value is wrong where it stands, whatever is around it

refused("\nserver {\nlocation /a {\nlocation /a/b {\n"
        . "oa_sse_buffer 1k; # here\n}\n}\n}\n", qr/between 8k and 16m/);

# what Fly says

{
    my ($exit, $err) = try('server { location / { '
        . 'oa_sse_pass http://127.0.0.1; } }',
        env => { FLY_MACHINE_ID => 'no machine' });
    is $exit, 1, 'a machine id that is none';
    like $err, qr/\[emerg\].*FLY_MACHINE_ID "no machine" is no name/, 'why';
}
accepted('', env => { FLY_MACHINE_ID => 'no machine' });

done_testing;
