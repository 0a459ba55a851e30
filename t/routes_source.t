# A reload takes routes from elsewhere: what they were before does not stay.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client qw(http_get);
use OA::Nginx;
use OA::Postgres;
use OA::Routes qw(route routes_file insert_route);
use OA::Util qw(wait_for);

my $pg = OA::Postgres->new->apply;
insert_route($pg, $_, machine => 'row') for qw(both row);

sub config {
    my ($source) = @_;
    return <<"CONF";
    oa_zone 16m;
    oa_postgres '@{[ $pg->conninfo(user => 'oa_router') ]}';
    oa_routes t {
        domain openagents.example; source $source; negative_ttl 0;
    }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        oa_router t;
        location / { oa_replay; }
    }
CONF
}

my @file = ('file %%DIR%%/r.json', 'app=oa-both;instance=file', 404,
            'app=oa-file;instance=file');
my @rows = ('postgres', 'app=oa-both;instance=row', 'app=oa-row;instance=row',
            404);

my $ng = OA::Nginx->new(
    workers => 2, http => config($file[0]),
    files => { 'r.json' => routes_file(map { route($_, machine => 'file') }
                                       qw(both file)) });

sub targets {
    return join ' ', map {
        my $r = http_get($ng->port, '/', host => "$_.openagents.example");
        $r->header('fly-replay') // $r->status;
    } qw(both row file);
}

sub becomes {
    my ($source, @wanted) = @_;
    wait_for { targets() eq "@wanted" } 5;
    is targets(), "@wanted", $source;
}

becomes(@file);

for (1 .. 2) {
    for my $to (\@rows, \@file) {
        $ng->write_conf(http => config($to->[0]));
        ok $ng->reload, 'a reload';
        becomes(@$to);
    }
}

done_testing;
