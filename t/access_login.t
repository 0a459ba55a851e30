# A browser without a token is sent to log in, and back to where it was; who
# asks for anything but a page is told so.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client qw(http_raw http_request h2_request);
use OA::Nginx;
use OA::Routes qw(route routes_file);
use OA::Token qw(key jwks $ISSUER $USER);

my $v1_25 = (OA::Nginx->version // 0) >= 1.025001;
my $domain = 'openagents.example';
my $login = "https://$domain/login?next=";

my $ng = OA::Nginx->new(
    files => {
        'keys.json'   => jwks(key('ES256', kid => 'k1')),
        'routes.json' => routes_file(
            route('alice', user_id => $USER, access => 'owner')),
    },
    http => <<"CONF");
    oa_issuer t {
        jwks_file keys.json; issuer $ISSUER; audience authenticated;
    }
    oa_routes t {
        domain $domain;
        source file routes.json;
    }
    oa_login_url https://openagents.example/login?next=\$oa_return_url;
    server {
        listen 127.0.0.1:%%PORT_0%%;
        listen 127.0.0.1:%%PORT_1%% @{[ $v1_25 ? '' : 'http2' ]};
        @{[ $v1_25 ? 'http2 on;' : '' ]}
        oa_router t;
        oa_auth t;
        oa_auth_token header query query=key;
        merge_slashes off;

        location / { oa_replay; }
        location /api { oa_login_url off; oa_replay; }
        location /raw { oa_login_url https://x.example/?\$arg_x; oa_replay; }
        location /path { oa_login_url https://x.example/?\$uri; oa_replay; }
        location /inner { rewrite ^ /deeper?x=1 last; }
    }
CONF

my $html = 'text/html,application/xhtml+xml,*/*;q=0.8';

sub get {
    my ($path, %o) = @_;
    return http_request($ng->port, $path, host => "alice.$domain",
                        headers => [ Accept => $html ], %o);
}

# The URL that the login page gets; "no" where there is none.
sub back {
    my ($r) = @_;
    my @location = $r->header('Location');
    return 'no' if $r->status != 302 or @location != 1
                or $location[0] !~ /^\Q$login\E([A-Za-z0-9._~%-]*)\z/;
    return $1 =~ s/%([0-9A-F]{2})/chr hex $1/ger;
}

my $r = get('/chat?a=b');
is $r->status, 302, 'a page: the login';
is back($r), "https://alice.$domain/chat?a=b", 'and back here';
is $r->header('Cache-Control'), 'no-store', 'for now only';
is $r->header('WWW-Authenticate'), undef, 'without a challenge';

is back(get('/inner/y?z')), "https://alice.$domain/inner/y?z",
    'the address that the browser has';
is get('/api')->status, 401, 'oa_login_url off';

# Who is a browser.

my @accept = (
    'text/html'                             => 302,
    'text/html;q=0.5, application/json;q=0.4' => 302,
    'TEXT/HTML; charset=utf-8'              => 302,
    'application/json'                      => 401,
    'application/json, text/html;q=0.9'     => 401,
    'text/html;q=0'                         => 401,
    '*/*'                                   => 401,
    'text/*'                                => 401,
    'text/event-stream'                     => 401,
    'text/htmlx'                            => 401,
    'image/avif,image/webp,*/*;q=0.8'       => 401,
    ''                                      => 401,
);
while (my ($accept, $status) = splice @accept, 0, 2) {
    is get('/', headers => [ Accept => $accept ])->status, $status,
        "Accept: $accept";
}
$r = get('/', headers => []);
is $r->status, 401, 'no Accept';
is $r->header('WWW-Authenticate'), 'Bearer realm="t"', 'a bare challenge';
is $r->header('Content-Type'), 'application/problem+json', 'a problem';
like $r->body, qr/"code":"login_required"/, 'login_required';

# What cannot be repeated by a redirect is not.

my @methods = (GET => 302, HEAD => 302, POST => 401, PUT => 401,
               DELETE => 401, PATCH => 401, OPTIONS => 401, MKCOL => 401);
while (my ($method, $status) = splice @methods, 0, 2) {
    $r = get('/', method => $method);
    is $r->status, $status, "$method: $status";
    is $r->header('Location'), undef, 'no redirect' if $status == 401;
}
$r = get('/', method => 'POST', body => 'a=b');
like $r->body, qr/<html/, 'a page that says so, to a browser';
is get('/', method => 'HEAD')->body, '', 'HEAD: no body';

# Where it leads to.

my @paths = (
    '/'                          => '/',
    '//evil.example/'            => '//evil.example/',
    '///evil.example'            => '///evil.example',
    '/\\evil.example'            => '/\\evil.example',
    '/@evil.example'             => '/@evil.example',
    '/%0d%0aSet-Cookie:%20a=b'   => '/%0d%0aSet-Cookie:%20a=b',
    '/%0D%0A%0D%0A<script>'      => '/%0D%0A%0D%0A<script>',
    '/x?%0d%0aX: y'              => undef,
    "/x\ty"                      => undef,
    '/x?a="><b>&c=\''            => '/x?a="><b>&c=\'',
    "/\xff\xfe"                  => "/\xff\xfe",
    '/x#y'                       => '/x#y',
    '/?next=https://evil.example' => '/?next=https://evil.example',
    '/a/../../b'                 => undef,
    '/a/../b'                    => '/a/../b',
    '/?access_token=x.y.z'       => undef,
    '/?a=1&KEY=1'                => '/?a=1',
    '/?a=1&%6bey=1'              => undef,
    '/?key=1&b'                  => undef,
    '/?a=1&access%5Ftoken&b=2'   => '/?a=1&b=2',
    '/' . ('x' x 7000)           => '/' . ('x' x 7000),
);
while (my ($path, $back) = splice @paths, 0, 2) {
    my $what = length $path > 50 ? substr($path, 0, 20) . '...'
                                 : $path =~ s/([^ -~])/sprintf '\\x%02x',
                                                              ord $1/ger;
    $r = get($path);
    if (defined $back) {
        is back($r), "https://alice.$domain$back", "back to $what";
    } else {
        isnt $r->status, 302, "no way to $what";
    }
    is $r->header('Set-Cookie'), undef, 'no header of theirs';
}

# Whose page it is: the host as nginx took it, not as somebody wrote it.

sub raw {
    my ($line, @headers) = @_;
    return http_raw($ng->port, join "\r\n", $line, @headers,
                    "Accept: $html", 'Connection: close', '', '');
}

my %to = (
    "http://alice.$domain/x?y"      => "https://alice.$domain/x?y",
    "http://nobody.$domain"         => "https://nobody.$domain/",
    "HTTP://ALICE.$domain:81/x"     => "https://alice.$domain/x",
    "http://alice.$domain.:443/"    => "https://alice.$domain/",
    "http://alice.$domain\@evil.example/" => undef,
    "http://evil.example/"          => undef,
    "http://evil.example/.$domain/" => undef,
    "http://alice.$domain.evil.example/" => undef,
    "http://evil.example#.$domain/" => undef,
    "http://x/y.$domain"            => undef,
    "http://a b.$domain/"           => undef,
);
for my $url (sort keys %to) {
    $r = raw("GET $url HTTP/1.1", 'Host: evil.example');
    is back($r), $to{$url} // 'no', "GET $url";
    isnt $r->status, 302, 'no redirect' if !$to{$url};
}
for my $host ("evil.example", "alice.$domain/x", "alice.$domain\@evil.example",
              "x.alice.$domain", $domain, "alice_.$domain", "-.$domain",
              "%61lice.$domain", "alice.$domain, evil.example", '')
{
    $r = raw('GET / HTTP/1.1', "Host: $host");
    isnt $r && $r->status, 302, "Host: $host";
}
is back(raw('GET / HTTP/1.1', "Host: ALICE.$domain:8443")),
    "https://alice.$domain/", 'capitals and a port';
$r = raw('GET / HTTP/1.1', "Host: alice.$domain",
         'X-Forwarded-Host: evil.example', 'X-Forwarded-Proto: ftp',
         'Forwarded: host=evil.example');
is back($r), "https://alice.$domain/", 'what proxies say of the host';

# HTTP/2

for my $case ([ GET => 302 ], [ HEAD => 302 ], [ POST => 401 ]) {
    my ($method, $status) = @$case;
    $r = h2_request($ng->port(1), authority => "alice.$domain",
                    method => $method, path => '/x?y',
                    headers => [ accept => $html ]);
    is $r->status, $status, "HTTP/2, $method: $status";
    is back($r), "https://alice.$domain/x?y", 'and back here'
        if $status == 302;
}
$r = h2_request($ng->port(1), authority => "alice.$domain",
                path => '/x', headers => [ accept => $html,
                                           host => 'evil.example' ]);
isnt back($r), 'https://evil.example/x', 'two hosts';

# A URL that an operator made of what the client sends.

for my $path ('/path/%0d%0aSet-Cookie:%20a=b', '/path/%0aX', '/path/%00x',
              '/path/%7f')
{
    $r = get($path);
    is $r->header('Set-Cookie'), undef, "$path: no header";
    unlike $r->header('Location') // '', qr/[\x00-\x1f\x7f]/,
        'nor a byte of one';
    cmp_ok $r->status, '>=', 400, 'but an error';
}

done_testing;
