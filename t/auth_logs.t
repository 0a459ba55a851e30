# No token in logs: $oa_safe_request_uri and $oa_return_url have none, nor have
# lines of error.log, nor answers.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client qw(http_request);
use OA::Nginx;
use OA::Routes qw(route routes_file);
use OA::Token qw(key jwks $ISSUER $USER);
use OA::Util qw(slurp);

my $name = 'sb-abcdefghijklmnopqrst-auth-token';
my $key = key('ES256', kid => 'k1');
my $secret = 'a-secret-of-thirty-two-bytes-or-more';

my $ng = OA::Nginx->new(
    env => { SECRET => $secret },
    files => {
        'jwks.json' => jwks($key),
        'routes.json' => routes_file(
            route('alice', user_id => $USER, access => 'owner'),
            route('off', user_id => $USER, status => 'disabled')),
    },
    http => <<"CONF");
    log_format  safe  '\$remote_addr [\$time_local] '
                      '"\$request_method \$oa_safe_request_uri '
                      '\$server_protocol" \$status \$body_bytes_sent '
                      '\$oa_auth_error \$oa_auth_sub';

    oa_issuer t {
        jwks_file jwks.json;
        issuer $ISSUER; audience authenticated;
    }
    oa_issuer h {
        secret env:SECRET;
        algorithms HS256;
        issuer h; audience authenticated;
    }
    oa_routes t {
        domain openagents.example;
        source file routes.json;
        users t;
    }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        access_log safe.log safe;
        oa_auth t h;
        oa_auth_token header cookie query query=jwt protocol;
        oa_router t;
        oa_login_url https://openagents.example/login?next=\$oa_return_url;

        location /        { oa_replay; }
        location /uri     { oa_router off; oa_auth off;
                            return 200 "<\$oa_safe_request_uri>"; }
        location /return  { oa_auth off; return 200 "<\$oa_return_url>"; }
        location /gone    { proxy_pass http://127.0.0.1:%%PORT_1%%; }
        location /missing { root html; }
        location /refused { oa_auth_require role eq admin; oa_replay; }
        location = /.oa/session { oa_session user; }
    }
CONF

sub get {
    my ($path, %o) = @_;
    return http_request($ng->port, $path, host => 'alice.openagents.example',
                        %o);
}

# What is masked

my @args = (
    '?access_token=x'              => '?access_token=***', 'a token',
    '?a=b&access_token=x.y.z&c=d'  => '?a=b&access_token=***&c=d', 'between',
    '?access_token=x&access_token=y' => '?access_token=***&access_token=***',
                                      'twice',
    '?ACCESS_TOKEN=x'              => '?ACCESS_TOKEN=***', 'in capitals',
    '?%61ccess%5Ftoken=x&a=%20'    => '?%61ccess%5Ftoken=***&a=%20', 'encoded',
    '?jwt=x'                       => '?jwt=***',          'another name',
    '?jwt=x=y&z'                   => '?jwt=***&z',        'an equals sign in it',
    '?access_token=x?access_token=y' => '?access_token=***', 'a second mark',
    '?access_token='               => '?access_token=',    'empty',
    '?access_token'                => '?access_token',     'no value',
    '?a=access_token&my_jwt=x'     => '?a=access_token&my_jwt=x', 'no token',
    '?'                            => '?',                 'nothing',
    ''                             => '',                  'no arguments',
    '/%2e/a%3Fb//c?d'              => '/%2e/a%3Fb//c?d',   'as it was sent',
);

while (my ($from, $to, $what) = splice @args, 0, 3) {
    is get("/uri$from")->body, "<" . "/uri$to>", "\$oa_safe_request_uri: $what";
}

is get('/return?a=b&access_token=x&%6Awt=y&c')->body,
    '<https%3A%2F%2Falice.openagents.example%2Freturn%3Fa%3Db%26c>',
    '$oa_return_url has none of them';
is get('/?a=b&access_token=&jwt=&c', headers => [ Accept => 'text/html' ])
       ->header('Location'),
    'https://openagents.example/login?next='
    . 'https%3A%2F%2Falice.openagents.example%2F%3Fa%3Db%26c',
    'nor has the way to log in';

# Requests with a token in each place, to all ends that they can come to

my %tokens = (
    good    => $key->token,
    expired => $key->token({ exp => time - 1000, iat => time - 4600 }),
    forged  => key('ES256', kid => 'k1', other => 1)->token,
    unknown => key('ES256', kid => 'no')->token,
    hs      => key('HS256', secret => $secret, kid => undef)
                   ->token({ iss => 'h' }),
    junk    => 'eyJunk-of-some-length.not-a-token-at-all.signature-of-it',
);

my @places = (
    sub { ('', Authorization => "Bearer $_[0]") },
    sub { ('', Cookie => "$name=$_[0]") },
    sub { ('', Cookie => "__Host-user=$_[0]") },
    sub { ("?access_token=$_[0]") },
    sub { ("?a=b&jwt=$_[0]") },
    sub { ('', 'Sec-WebSocket-Protocol' => "bearer, $_[0]") },
    sub { ('', Referer => "https://alice.openagents.example/?jwt=$_[0]",
           Authorization => "Bearer $_[0]") },
);

my @paths = ('/', '/gone', '/missing/x', '/refused', '/.oa/session', '/return');
my ($n, $told) = (0, '');

for my $path (@paths) {
    for my $place (@places) {
        for my $kind (sort keys %tokens) {
            my ($args, @headers) = $place->($tokens{$kind});
            for my $more ([], [ Accept => 'text/html' ],
                          [ 'fly-replay-failed' => 'x' ])
            {
                my $r = get("$path$args", headers => [ @headers, @$more ]);
                $told .= join '', (map { "@$_\n" } @{ $r->headers }), $r->body;
                $n++;
            }
        }
    }
}

for my $host ('off', 'nobody') {
    for my $place (@places) {
        my ($args, @headers) = $place->($tokens{good});
        my $r = get("/$args", headers => \@headers,
                    host => "$host.openagents.example");
        $told .= join '', (map { "@$_\n" } @{ $r->headers }), $r->body;
        $n++;
    }
}

# what is handed over, in all its forms
for my $kind (sort keys %tokens) {
    for my $body ("access_token=$tokens{$kind}",
                  "access_token=$tokens{$kind}&next=//evil.example",
                  qq({"access_token":"$tokens{$kind}"}),
                  qq({"access_token":"$tokens{$kind}"))
    {
        my $r = get('/.oa/session', method => 'POST', body => $body,
                    headers => [ 'Content-Type' => $body =~ /^\{/
                        ? 'application/json'
                        : 'application/x-www-form-urlencoded' ]);
        $told .= $r->body;
        $n++;
    }
}

ok $ng->wait_log(qr/connect\(\) failed/), 'there were errors';
ok $ng->log =~ /replay of "alice" to machine "malice" failed/, 'and warnings';

my %logs = ('error.log' => $ng->log, 'access log' => slurp($ng->path('safe.log')),
            'answers' => $told);

cmp_ok scalar(() = $logs{'access log'} =~ /^/mg), '>=', $n, 'all were logged';
like $logs{'access log'}, qr/"GET \/gone\?a=b&jwt=\*\*\* HTTP/, 'with a mask';

for my $log (sort keys %logs) {
    for my $kind (sort keys %tokens) {

        # any piece of it that says more than what kind of token it is
        my (undef, $payload, $signature) = split /\./, $tokens{$kind};
        for my $piece (substr($payload, -30), substr($signature, 0, 12)) {
            my @lines = grep { index($_, $piece) >= 0 } split /\n/, $logs{$log};
            is @lines, 0, "$log has nothing of a token: $kind"
                or diag $lines[0];
        }
    }
    is index($logs{$log}, $secret), -1, "$log has no secret";
}

done_testing;
