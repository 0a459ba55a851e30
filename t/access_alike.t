# Who may not pass cannot tell a route from a name that nobody has, whatever
# its access and its status, by any byte of any answer.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client qw(http_request h2_request);
use OA::Nginx;
use OA::Routes qw(route routes_file);
use OA::Token qw(key jwks uuid $ISSUER $USER);

my $key = key('ES256', kid => 'k1');
my $v1_25 = (OA::Nginx->version // 0) >= 1.025001;

my @statuses = qw(running stopped suspended provisioning error disabled);
my @private = (@statuses, 'users', 'bare', 'long');
my @names = ('nobody', 'n' x 63, @private);

my $ng = OA::Nginx->new(
    files => {
        'keys.json'   => jwks($key),
        'routes.json' => routes_file(
            (map { route($_, user_id => $USER, access => 'owner',
                         status => $_) } @statuses),
            route('users', user_id => $USER, access => 'authenticated'),
            route('bare', user_id => $USER, access => 'owner',
                  app => undef, machine => undef, region => undef),
            route('long', user_id => $USER, access => 'owner',
                  app => 'a' x 63, machine => 'm' x 63)),
    },
    http => <<"CONF");
    oa_issuer t {
        jwks_file keys.json; issuer $ISSUER; audience authenticated;
    }
    oa_routes t {
        domain openagents.example;
        source file routes.json;
    }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        listen 127.0.0.1:%%PORT_1%% @{[ $v1_25 ? '' : 'http2' ]};
        @{[ $v1_25 ? 'http2 on;' : '' ]}
        client_max_body_size 0;
        oa_router t;
        oa_auth t;
        oa_login_url https://openagents.example/login;

        location / { oa_replay; }
        location /gif { empty_gif; }
        location /owner { oa_access owner; oa_replay; }
        location /proxy { proxy_pass http://\$oa_machine_host; }
        location /file { root %%DIR%%; try_files /none =418; }
        location /page { error_page 401 404 = \@page; oa_replay; }
        location \@page {
            return 200 "<\$oa_app\$oa_machine\$oa_machine_host>";
        }
    }
CONF

my %send = (
    HTTP => sub {
        my ($name, $path, %o) = @_;
        return http_request($ng->port, $path, %o,
                            host => "$name.openagents.example");
    },
    'HTTP/2' => sub {
        my ($name, $path, %o) = @_;
        my @headers = @{ delete $o{headers} };
        @headers = map { $_ % 2 ? $headers[$_] : lc $headers[$_] }
                   0 .. $#headers;
        return h2_request($ng->port(1), path => $path, %o,
                          headers => \@headers,
                          authority => "$name.openagents.example");
    },
);

my $wrong = 'Bearer ' . $key->token({ sub => uuid() });
my $html = 'text/html,application/xhtml+xml,*/*;q=0.8';
my @who = (
    nobody    => [],
    browser   => [ Accept => $html ],
    stranger  => [ Authorization => $wrong ],
    'stranger\'s browser' => [ Authorization => $wrong, Accept => $html ],
    'bad token' => [ Authorization => 'Bearer x' ],
    'expired cookie' => [ Cookie => 'sb-abcdefghijklmnopqrst-auth-token='
                                    . $key->token({ exp => time - 99 }) ],
);
my %answer = (
    nobody => '401', browser => '302', stranger => '404',
    'stranger\'s browser' => '404', 'bad token' => '401',
    'expired cookie' => '401',
);
my @requests = (
    [ '/' ], [ '/deep/er?a=b' ], [ '/gif' ], [ '/owner' ], [ '/proxy' ],
    [ '/file' ], [ '/page' ],
    [ '/', method => 'HEAD' ],
    [ '/', method => 'POST', body => 'x' x 100 ],
    [ '/', method => 'OPTIONS' ],
    [ '/', method => 'DELETE' ],
    [ '/', headers => [ 'fly-replay-failed' => 'x' ] ],
    [ '/', headers => [ Upgrade => 'websocket', Connection => 'upgrade' ] ],
    [ '/', headers => [ 'If-None-Match' => '*', Range => 'bytes=0-1' ] ],
);

while (my ($who, $headers) = splice @who, 0, 2) {
    my (@unlike, %status);
    for my $over (sort keys %send) {
        for my $request (@requests) {
            my ($path, %o) = @$request;
            next if $over eq 'HTTP/2'
                and grep { $_ eq 'Upgrade' } @{ $o{headers} // [] };
            my %text;
            for my $name (@names) {
                my $r = $send{$over}->($name, $path, %o, headers =>
                                       [ @$headers, @{ $o{headers} // [] } ]);
                my $text = $r->common;
                $status{"$over $path"} = $r->status
                    if $path eq '/' and !%o;
                # who is logged in may pass where any user may
                next if $name eq 'users' and $who =~ /^stranger/
                    and $path ne '/owner';
                push @{ $text{$text} }, $name;
                push @unlike, "$name is named"
                    if $text =~ /\b(?:oa-|m)\Q$name\E\b/;
            }
            push @unlike, join "\n", "$over, $path:", explain \%text
                if keys %text != 1;
        }
    }
    is join("\n", @unlike), '', "$who: all names are alike";
    is $status{"$_ /"}, $answer{$who}, "$who, $_: $answer{$who}"
        for sort keys %send;
}

# They are not alike to who may pass.

my %of = (running => 307, stopped => 307, suspended => 307, disabled => 402,
          provisioning => 503, error => 503, bare => 503, nobody => 404);
is $send{HTTP}->($_, '/', headers => [ Authorization =>
                                       'Bearer ' . $key->token ])->status,
    $of{$_}, "to its owner: $_" for sort keys %of;

done_testing;
