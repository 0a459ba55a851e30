# oa_zone and oa_routes: a wrong value fails nginx -t with its line.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";
use OA::Nginx;

my $routes = 'domain openagents.example; source file routes.json;';

# Everything is in a file of its own, so that its lines can be told.
sub try {
    my ($conf) = @_;
    return OA::Nginx->test_config(files => { 'oa.conf' => $conf },
                                  http => 'include oa.conf;');
}

sub accepted {
    my ($conf) = @_;
    my ($exit, $err) = try($conf);
    is $exit, 0, "taken: $conf" or diag $err;
}

# The line with "# here" is the one to be named.
sub refused {
    my ($conf, $why) = @_;
    $conf = "\n$conf # here" unless $conf =~ /# here/;
    my $line = 1 + (() = substr($conf, 0, index $conf, '# here') =~ /\n/g);
    my ($exit, $err) = try("$conf\n");
    is $exit, 1, "refused: $conf";
    my ($emerg, @more) = $err =~ /^nginx: (\[emerg\].*)/mg;
    like $emerg // '', $why, 'and why';
    like $emerg // '', qr{ in \S+/oa\.conf:$line$}, 'and where';
    is @more, 0, 'in one line' or diag $err;
}

accepted($_) for 'oa_zone 1m;', 'oa_zone 1024k;', 'oa_zone 64M;',
    'oa_zone 256m;', 'oa_zone 1g;', 'oa_zone 2g;';
refused($_, qr/oa_zone.*expected 1m to 2g/)
    for 'oa_zone 0;', 'oa_zone 1;', 'oa_zone 512k;', 'oa_zone 3g;',
        'oa_zone 4096m;', 'oa_zone -1m;', 'oa_zone 64x;', 'oa_zone "";',
        'oa_zone 64mb;', 'oa_zone 99999999999999999999m;';
refused('oa_zone 64m 1;', qr/"oa_zone"/);
refused('oa_zone;', qr/"oa_zone"/);
refused("oa_zone 64m;\noa_zone 64m; # here", qr/"oa_zone" directive is dup/);
refused('server { oa_zone 64m; }', qr/"oa_zone" directive is not allowed/);

accepted("oa_routes t { $routes }");
accepted("oa_routes t { $routes negative_ttl 0; users s; } oa_issuer s { "
         . 'jwks_uri http://127.0.0.1/; issuer i; audience a; }');
accepted("oa_routes t { $routes users supabase; }");     # nobody is known
refused("oa_routes t { $routes users u; } oa_issuer s { "
        . 'jwks_uri http://127.0.0.1/; issuer i; audience a; }',
        qr/"users u" names no oa_issuer/);
accepted("oa_routes t { $routes } oa_routes u { $routes }");
accepted('oa_routes ' . 't' x 23 . " { $routes }");
accepted('oa_routes t { domain A.Example; source file /nowhere; '
         . 'negative_ttl 500ms; }');

for my $case (
    [ 'domain "";',                        qr/domain.*expected a host name/ ],
    [ 'domain *.a.example;',               qr/domain.*expected a host name/ ],
    [ 'domain .a.example;',                qr/domain.*expected a host name/ ],
    [ 'domain a_b.example;',               qr/domain.*expected a host name/ ],
    [ 'domain a..example;',                qr/domain.*expected a host name/ ],
    [ 'domain http://a.example;',          qr/domain.*expected a host name/ ],
    [ 'domain ' . 'a' x 64 . '.example;',  qr/domain.*expected a host name/ ],
    [ 'domain ' . join('.', ('a' x 60) x 4) . ';', qr/domain/ ],
    [ 'domain a.example b.example;',       qr/domain/ ],
    [ 'domain a.example; domain b.example;', qr/duplicate "domain"/ ],
    [ 'source;',                           qr/expected "postgres" or/ ],
    [ 'source mysql;',                     qr/expected "postgres" or/ ],
    [ 'source file;',                      qr/expected "postgres" or/ ],
    [ 'source file a b;',                  qr/expected "postgres" or/ ],
    [ 'source postgres x;',                qr/expected "postgres" or/ ],
    [ 'source file "";',                   qr/empty path/ ],
    [ 'source file a; source postgres;',   qr/duplicate "source"/ ],
    [ 'negative_ttl 5x;',                  qr/negative_ttl.*expected a time/ ],
    [ 'negative_ttl -1;',                  qr/negative_ttl.*expected a time/ ],
    [ 'negative_ttl 2h;',                  qr/negative_ttl.*expected a time/ ],
    [ 'negative_ttl;',                     qr/negative_ttl/ ],
    [ 'negative_ttl 1s; negative_ttl 1s;', qr/duplicate "negative_ttl"/ ],
    [ 'users a; users b;',                 qr/duplicate "users"/ ],
    [ 'snapshot a; snapshot b;',           qr/duplicate/ ],
    [ 'snapshot "";',                      qr/empty path/ ],
    [ 'oops 1;',      qr/"oops".*expected domain, source, snapshot, neg/ ])
{
    my ($params, $why) = @$case;
    refused("oa_routes t {\n    $params # here\n}", $why);
}

# what is wrong with a block as a whole is named at its end
for my $case (
    [ 'source file x;',          qr/"oa_routes" directive has no "domain"/ ],
    [ 'domain a.example;',       qr/"oa_routes" directive has no "source"/ ],
    [ '',                        qr/"oa_routes" directive has no "domain"/ ],
    [ "$routes snapshot x;",     qr/"oa_routes" directive has a "snapshot"/ ])
{
    my ($params, $why) = @$case;
    refused("oa_routes t {\n    $params\n} # here", $why);
}

refused("oa_routes \"\" { $routes }", qr/name of "oa_routes"/);
refused('oa_routes ' . 't' x 24 . " { $routes }", qr/name of "oa_routes"/);
refused("oa_routes t { $routes }\noa_routes t { # here\n$routes }",
        qr/duplicate oa_routes "t"/);
refused("oa_routes { $routes }", qr/"oa_routes"/);
refused("oa_routes t u { $routes }", qr/"oa_routes"/);
refused(join("\n", map({ "oa_routes t$_ { $routes }" } 1 .. 15),
             "oa_routes t16 { # here\n $routes }"), qr/at most \d+ oa_routes/);

refused('server { oa_router t; }', qr/oa_routes "t"/);
refused("oa_routes t { $routes }\nserver { oa_router u; }", qr/oa_routes "u"/);
refused("oa_routes t { $routes }\nserver { oa_router t; oa_router off; }",
        qr/"oa_router" directive is duplicate/);
accepted("oa_routes t { $routes } oa_router t; server { oa_router off; }");

refused("oa_access $_;", qr/invalid value "$_"/) for qw(nobody oowner);
refused('oa_access public; oa_access owner;', qr/duplicate/);
accepted("oa_access $_;") for qw(route owner authenticated public);

done_testing;
