# A start without a good file: nobody knows yet whether a name has a route.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";
use OA::Client qw(http_get);
use OA::Nginx;
use OA::Routes qw(routes_file);
use OA::Util qw(wait_for);

sub start {
    my (%files) = @_;
    return OA::Nginx->new(workers => 2, files => \%files, http => <<'CONF');
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
}

for my $case (
    [ 'no file', qr/\[error\].*routes\.json" failed \(2: No such file/ ],
    [ 'a broken file', qr/\[error\] .*not JSON in \S+routes\.json:2,/,
      'routes.json' => "{\"routes\":[\n{oops}]}" ])
{
    my ($name, $error, %files) = @$case;

    subtest $name => sub {
        my $ng = start(%files);
        my $get = sub { http_get($ng->port, '/', host => $_[0]) };

        like $ng->log, $error, 'an error';

        my $r = $get->('alice.openagents.example');
        is $r->status, 503, 'a name';
        like $r->body, qr/"code":"routes_unavailable"/, 'which code';
        ok $r->header('retry-after'), 'Retry-After';
        is $get->('openagents.example')->status, 404, 'no name of ours';

        $ng->write_file('routes.json', routes_file('alice'));
        ok +(wait_for { $get->('alice.openagents.example')->status == 307 } 2),
            'mended';
        is $get->('bob.openagents.example')->status, 404, 'and complete';
    };
}

done_testing;
