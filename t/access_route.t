# Without authentication only public routes exist.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";
use OA::Client qw(http_get);
use OA::Nginx;
use OA::Routes qw(route routes_file);

my $ng = OA::Nginx->new(
    files => { 'routes.json' => routes_file(
        route('public',  access => 'public'),
        route('owner',   access => 'owner'),
        route('default', access => undef),
        route('users',   access => 'authenticated')) },
    http  => <<'CONF');
    oa_routes t {
        domain openagents.example;
        source file routes.json;
    }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        oa_router t;
        location / { oa_replay; }
        location /gif { empty_gif; }
        location /route {
            oa_access route;
            oa_replay;
        }
        location /public {
            oa_access public;
            oa_replay;
        }
        location /authenticated {
            oa_access authenticated;
            oa_replay;
        }
        location /owner {
            oa_access owner;
            oa_replay;
        }
        location /satisfy {
            satisfy any;
            allow all;
            empty_gif;
        }
        location /both {
            deny all;
            oa_access public;
            oa_replay;
        }
    }
    server {
        listen 127.0.0.1:%%PORT_1%%;
        oa_router t;
        oa_access public;
        location / { oa_replay; }
        location /in {
            oa_access route;
            oa_replay;
        }
    }
CONF

sub get {
    my ($name, $path, $port, @headers) = @_;
    return http_get($ng->port($port // 0), $path // '/',
                    host => "$name.openagents.example",
                    headers => \@headers);
}

is get('public')->status, 307, 'public';
is get($_)->status, 404, $_ for qw(owner default users nobody);

subtest 'the same bytes as if there were none' => sub {
    for my $headers ([], [ Accept => 'text/html' ],
                     [ Authorization => 'Bearer x', Cookie => 'a=b' ])
    {
        my %seen;
        for my $name (qw(owner default users nobody other)) {
            my $r = get($name, '/', 0, @$headers);
            my $text = join "\n", $r->{line},
                (map { "@$_" } grep { $_->[0] ne 'Date' } @{ $r->headers }),
                $r->body;
            $text =~ s/\b[0-9a-f]{32}\b/ID/ or fail 'a request_id';
            push @{ $seen{$text} }, $name;
        }
        is keys %seen, 1, "one answer (@$headers)" or diag explain \%seen;
    }
};

is get($_, '/public')->status, 307, "oa_access public: $_"
    for qw(public owner default users);
is get('nobody', '/public')->status, 404, 'but no route is no route';
is get($_, '/route')->status, $_ eq 'public' ? 307 : 404, "route: $_"
    for qw(public owner users);
is get($_, '/authenticated')->status, 404, "authenticated: $_"
    for qw(public owner users);
is get($_, '/owner')->status, 404, "owner: $_" for qw(public owner users);

is get('owner', '/', 1)->status, 307, 'public for a whole server';
is get('owner', '/in', 1)->status, 404, 'but not here';

is get('public', '/gif')->status, 200, 'another handler';
is get('owner', '/gif')->status, 404, 'is guarded as well';
is get('owner', '/satisfy')->status, 404, '"satisfy any" skips nothing';
is get('public', '/satisfy')->status, 200, 'nor adds to it';
is get('owner', '/both')->status, 403, 'nginx\'s own access still counts';

done_testing;
