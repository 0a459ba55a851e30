# A broken file is one [error] with its line, and what was read before stays.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP;

use OA::Client qw(http_get);
use OA::Nginx;
use OA::Routes qw(route routes_file);
use OA::Util qw(wait_for);

my $ng = OA::Nginx->new(
    workers => 2,
    files   => { 'routes.json' => routes_file('alice') },
    http    => <<'CONF');
    oa_routes t {
        domain openagents.example;
        source file routes.json;
    }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        oa_router t;
        location / { oa_replay; }
    }
CONF

my $file = $ng->path('routes.json');

sub replay {
    http_get($ng->port, '/', host => "$_[0].openagents.example")
        ->header('fly-replay') // '';
}

# What is logged of a file until nginx is done with it.
sub errors {
    my ($bytes) = @_;
    my $from = length $ng->log;
    $ng->write_file('routes.json', $bytes);
    wait_for { substr($ng->log, $from) =~ /\[error\]| routes read from / } 5;
    return grep { /\[error\]/ } split /\n/, substr $ng->log, $from;
}

sub refused {
    my ($bytes, $line, $why, $name) = @_;
    my @errors = errors($bytes);
    is @errors, 1, "$name: one error" or diag "@errors";
    like $errors[0] // '', qr/oa_routes "t": $why in \Q$file\E:$line,/, $name;
    is replay('alice'), 'app=oa-alice;instance=malice', "$name: the old stays";
}

# the second of three rows, in line 3
sub row {
    my (%o) = @_;
    return routes_file('before', route('second', %o), 'after');
}

my @rows = (
    [ { subdomain => 'Upper' },          qr/subdomain/,  'an upper case name' ],
    [ { subdomain => 'a.b' },            qr/subdomain/,  'two labels' ],
    [ { subdomain => "a\nb" },           qr/subdomain/,  'a line feed' ],
    [ { subdomain => '' },               qr/subdomain/,  'no name' ],
    [ { subdomain => undef },            qr/subdomain/,  'a name left out' ],
    [ { subdomain => 'a' x 64 },         qr/subdomain/,  'a long name' ],
    [ { subdomain => '-a' },             qr/subdomain/,  'a hyphen first' ],
    [ { subdomain => 7 },                qr/subdomain/,  'a number' ],
    [ { app => 'a;instance=evil' },      qr/app/,        'a field in app' ],
    [ { app => "a\r\nfly-replay: x" },   qr/app/,        'a header in app' ],
    [ { app => "a\0b" },                 qr/.*NUL.*/,    'a NUL in app' ],
    [ { app => 'a b' },                  qr/app/,        'a space in app' ],
    [ { app => 'a"b' },                  qr/app/,        'a quote in app' ],
    [ { app => ['a'] },                  qr/app/,        'a list as app' ],
    [ { machine => 'M1' },               qr/machine/,    'upper case' ],
    [ { machine => 'm1;state=x' },       qr/machine/,    'a field in machine' ],
    [ { machine => 'm.1' },              qr/machine/,    'a dot in machine' ],
    [ { region => 'fra;x' },             qr/region/,     'a field in region' ],
    [ { region => 'FRA' },               qr/region/,     'region upper case' ],
    [ { region => 'x' },                 qr/region/,     'a short region' ],
    [ { status => 'Running' },           qr/status/,     'an unknown status' ],
    [ { status => undef },               qr/status/,     'no status' ],
    [ { access => 'everybody' },         qr/access/,     'an unknown access' ],
    [ { access => '' },                  qr/access/,     'an empty access' ],
    [ { route_id => undef },             qr/route_id/,   'no id' ],
    [ { route_id => 'a b' },             qr/route_id/,   'a space in an id' ],
    [ { user_id => "x\ny" },             qr/user_id/,    'two lines of user' ],
    [ { user_id => 'x' x 129 },          qr/user_id/,    'a long user' ],
    [ { agent_id => '<a>' },             qr/agent_id/,   'an agent' ],
    [ { version => -1 },                 qr/version/,    'a negative version' ],
    [ { version => '1' },                qr/version/,    'a text as version' ],
    [ { subdomain => 'before' },         qr/a subdomain occurs twice/,
                                                         'a name twice' ],
);
for my $case (@rows) {
    my ($o, $why, $name) = @$case;
    refused(row(%$o), 3, qr/$why\b.*/, $name);
    is replay('before'), '', "$name: nothing of it counts";
}

my $good = JSON::PP->new->canonical->encode(route('bob'));
my @documents = (
    [ '',                                   1, 'an empty file' ],
    [ "\n\n",                               3, 'lines alone' ],
    [ "[]",                                 1, 'no object' ],
    [ "{\n}",                               2, 'no routes' ],
    [ qq({\n"routes":\n{}}),                3, 'routes are no list' ],
    [ qq({"routes":[\n$good\n$good]}),      3, 'no comma' ],
    [ qq({"routes":[\n$good,\n]}),          3, 'a comma too many' ],
    [ qq({"routes":[\n$good\n]),            3, 'no end' ],
    [ qq({"routes":[\n$good\n]}\n\nx),      5, 'more after the end' ],
    [ qq({"routes":[\n$good,\n7]}),         3, 'a row that is a number' ],
    [ qq({"routes":[\n{"app":"a","app":"b"}]}), 2, 'a key twice' ],
    [ qq({"routes":[],\n"routes":[]}),      2, 'routes twice' ],
    [ qq({"routes":[\n{"app":"\xff"}]}),    2, 'not UTF-8' ],
    [ qq({"routes":[\n{"app":"a\nb"}]}),    2, 'a raw line feed' ],
    [ substr(row(), 0, -20),                4, 'cut off' ],
    [ JSON::PP->new->pretty->encode({ a => [ 1, { b => 2 } ] })
          =~ s/\}\n$/,"routes":[\n$good,\n7]}/r, 10, 'more lines before' ],
    [ qq({"routes":[\n) . $good =~ s/,/,\n\n/gr . qq(,\n{}]}), 19,
                                               'a row in many lines' ],
);
refused($_->[0], $_->[1], qr/.+/, $_->[2]) for @documents;

# a broken file is not judged again, not even with time
my $errors = $ng->log_count(qr/\[error\]/);

# at reload it is said again
my $from = length $ng->log;
ok $ng->reload, 'reload';
my @again = grep { /\[error\]/ } split /\n/, substr $ng->log, $from;
is @again, 1, 'one error at a reload';
like $again[0], qr/ in \Q$file\E:19,/, 'with its line';
is replay('alice'), 'app=oa-alice;instance=malice', 'and the old stays';
is $ng->log_count(qr/\[error\]/), $errors + 1, 'no more than that';

subtest 'the file is gone' => sub {
    my $before = $ng->log_count(qr/\[error\]/);
    unlink $file or die $!;
    ok $ng->wait_log(qr/\[error\].*\Q$file\E" failed,.* \(2: /, 3), 'said';
    is replay('alice'), 'app=oa-alice;instance=malice', 'the old stays';
    ok $ng->reload, 'a reload without it';
    is replay('alice'), 'app=oa-alice;instance=malice', 'the old stays';
};

is_deeply [ errors(routes_file('alice', 'bob')) ], [], 'mended';
ok +(wait_for { replay('bob') } 1), 'and taken up';

subtest 'a folder in its place' => sub {
    unlink $file;
    mkdir $file or die $!;
    ok $ng->wait_log(qr/\[error\].*\Q$file\E" failed,.* \(21: /, 3), 'said';
    is replay('bob'), 'app=oa-bob;instance=mbob', 'the old stays';
};

done_testing;
