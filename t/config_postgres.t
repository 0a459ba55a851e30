# oa_postgres: a wrong value fails nginx -t, and shows no password.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";
use OA::Nginx;

my $good = q{'host=127.0.0.1 user=u password=HUSH dbname=d'};

sub try {
    my ($conf, %o) = @_;
    return OA::Nginx->test_config(
        env   => { URL => 'postgresql://u:HUSH@127.0.0.1:5432/d', EMPTY => '',
                   BAD => 'postgresql://u:HUSH@127.0.0.1:port/d' },
        files => { 'oa.conf' => "\n$conf\n" }, http => 'include oa.conf;');
}

sub accepted {
    my ($conf) = @_;
    my ($exit, $err) = try($conf);
    is $exit, 0, "taken: $conf" or diag $err;
}

sub refused {
    my ($conf, $why) = @_;
    my ($exit, $err) = try($conf);
    is $exit, 1, "refused: $conf";
    my ($emerg, @more) = $err =~ /^nginx: (\[emerg\].*)/mg;
    like $emerg // '', $why, 'and why';
    like $emerg // '', qr{ in \S+/oa\.conf:2$}, 'and where';
    is @more, 0, 'in one line';
    unlike $err, qr/HUSH/, 'and no password is shown';
}

accepted("oa_postgres $_;") for $good, 'env:URL', "$good connections=1",
    "$good connections=4 timeout=500ms", "$good timeout=5s connections=64",
    q{postgresql://u:HUSH@127.0.0.1/d}, q{postgres://u@[::1]:5433/d},
    q{'host=/run/postgresql user=u'},
    q{'host=db.example hostaddr=127.0.0.1 user=u'},
    q{'host=127.0.0.1 user=u sslmode=verify-full'};
accepted("resolver 127.0.0.1; oa_postgres 'host=db.example user=u';");
accepted("oa_postgres $good; oa_routes t { domain a.example; "
         . 'source postgres; snapshot x; }');

for my $case (
    [ "$good connections=0",              qr/"connections=0".*1 to \d+/ ],
    [ "$good connections=1000",           qr/"connections=1000".*1 to \d+/ ],
    [ "$good connections=x",              qr/"connections=x".*1 to \d+/ ],
    [ "$good connections=",               qr/"connections=".*1 to \d+/ ],
    [ "$good timeout=0",                  qr/"timeout=0".*over zero/ ],
    [ "$good timeout=x",                  qr/"timeout=x".*over zero/ ],
    [ "$good timeout=-1s",                qr/"timeout=-1s".*over zero/ ],
    [ "$good oops=1",                     qr/invalid parameter.*connections=/ ],
    [ 'host=127.0.0.1 password=HUSH',     qr/invalid parameter.*in quotes/ ],
    [ q{'password=HUSH user'},            qr/invalid conninfo.*expected/ ],
    [ q{'user=u passwort=HUSH'},          qr/invalid conninfo.*expected/ ],
    [ q{'user=u HUSH'},                   qr/invalid conninfo.*expected/ ],
    [ q{"user=u password='HUSH"},         qr/invalid conninfo.*expected/ ],
    [ q{postgresql://u:HUSH@h:port/d},    qr/invalid port|invalid conninfo/ ],
    [ q{postgresql://u:HU@SH@127.0.0.1/}, qr/several "@"/ ],
    [ q{postgresql://u:HUSH@[::1/d},      qr/invalid conninfo/ ],
    [ q{postgresql://u:HUSH%zz@h/d},      qr/invalid conninfo/ ],
    [ 'env:UNSET',                        qr/"UNSET" is not set/ ],
    [ 'env:EMPTY',                        qr/"env:EMPTY" is empty/ ],
    [ 'env:BAD',                          qr/invalid port|invalid conninfo/ ],
    [ 'file:none',                        qr/none" failed \(2: / ],
    [ q{'host=127.0.0.1 password=HUSH'},  qr/no user/ ],
    [ q{'host=127.0.0.1 user=u port=0 password=HUSH'},     qr/invalid port/ ],
    [ q{'host=127.0.0.1 user=u port=70000 password=HUSH'}, qr/invalid port/ ],
    [ q{'host=a,b user=u password=HUSH'},                  qr/several hosts/ ],
    [ q{'hostaddr=db.example user=u password=HUSH'}, qr/invalid hostaddr/ ],
    [ q{'host=127.0.0.1 user=u sslmode=HUSH'},       qr/invalid sslmode/ ],
    [ q{'service=x user=u'},              qr/"service" is not supported/ ],
    [ q{'passfile=/x user=u host=h'},     qr/"passfile" is not supported/ ],
    [ q{'host=db.example user=u password=HUSH'}, qr/needs a "resolver"/ ],
    [ q{postgresql://u:HUSH@db.example/d},       qr/needs a "resolver"/ ])
{
    my ($args, $why) = @$case;
    refused("oa_postgres $args;", $why);
}

refused("oa_postgres $good; oa_postgres $good;", qr/is duplicate/);
refused('oa_postgres;', qr/"oa_postgres"/);
refused("server { oa_postgres $good; }", qr/not allowed here/);
refused('oa_routes t { domain a.example; source postgres; }',
        qr/oa_routes.*oa_postgres/);

done_testing;
