# oa_auth_require: what a good token must say besides.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client;
use OA::Nginx;
use OA::Token qw(key jwks claims payload b64 $ISSUER $USER $SESSION);

my $key = key('ES256');
my ($yes, $no) = (JSON::PP::true, JSON::PP::false);

# what stands in the token
my %claims = (
    app_metadata => {
        plan => 'pro', roles => [ 'admin', 'editor', 7 ], seats => 5,
        'a.b' => 'dotted', 'back\\slash' => 'x', empty => '', zero => 0,
        beta => $yes, off => $no, nothing => undef, object => { k => undef },
        list => [], text => "line\nend", nested => { deep => { er => 'x' } },
        ratio => 0.75, big => 9007199254740993, quoted => 'a"b', comma => 'a,b',
    },
    scope => 'read write:all', "\x{fc}" => "\x{fc}",
);

# condition, whether it holds
my @cases = (
    # eq and ne
    [ 'role eq authenticated', 1 ],    [ 'role eq Authenticated', 0 ],
    [ 'role eq ""', 0 ],               [ 'role eq authenticated2', 0 ],
    [ 'role ne x', 1 ],                [ 'role ne authenticated', 0 ],
    [ 'phone eq ""', 1 ],              [ 'phone ne ""', 0 ],
    [ 'nobody eq ""', 0 ],             [ 'nobody ne x', 0 ],
    [ 'app_metadata.plan eq pro', 1 ], [ 'app_metadata.plan eq free', 0 ],
    [ 'app_metadata.plan ne free', 1 ],
    [ 'app_metadata.nothing eq ""', 0 ], [ 'app_metadata.nothing ne x', 0 ],
    [ 'app_metadata.nothing eq null', 0 ],
    [ 'app_metadata.beta eq true', 1 ], [ 'app_metadata.beta eq 1', 0 ],
    [ 'app_metadata.beta ne false', 1 ], [ 'app_metadata.off eq false', 1 ],
    [ 'is_anonymous eq false', 1 ],    [ 'is_anonymous ne true', 1 ],
    [ 'app_metadata.seats eq 5', 1 ],  [ 'app_metadata.seats eq 5.0', 1 ],
    [ 'app_metadata.seats eq 05', 0 ], [ 'app_metadata.seats eq five', 0 ],
    [ 'app_metadata.seats ne 6', 1 ],  [ 'app_metadata.zero eq 0', 1 ],
    [ 'app_metadata.zero eq false', 0 ], [ 'app_metadata.zero eq ""', 0 ],
    [ 'app_metadata eq x', 0 ],        [ 'app_metadata ne x', 0 ],
    [ 'app_metadata.roles eq admin', 0 ], [ 'app_metadata.roles ne x', 0 ],
    [ 'app_metadata.big eq 9007199254740993', 1 ],
    [ 'app_metadata.big eq 9007199254740992', 0 ],
    [ 'app_metadata.quoted eq "a\\"b"', 1 ],
    # in
    [ 'role in admin,authenticated', 1 ], [ 'role in authenticated', 1 ],
    [ 'role in admin,user', 0 ],       [ 'role in authenticate,d', 0 ],
    [ '"role" "in" "a, authenticated"', 0 ], [ 'phone in a,,b', 1 ],
    [ 'phone in a,b', 0 ],             [ 'app_metadata.seats in 4,5', 1 ],
    [ 'app_metadata.beta in true,x', 1 ], [ 'nobody in a,,b', 0 ],
    [ 'app_metadata.roles in admin,editor', 0 ],
    [ 'app_metadata.comma in a,b', 0 ],
    # has
    [ 'app_metadata.roles has admin', 1 ], [ 'app_metadata.roles has 7', 1 ],
    [ 'app_metadata.roles has adm', 0 ], [ 'app_metadata.roles has ""', 0 ],
    [ 'app_metadata.list has ""', 0 ], [ 'app_metadata has plan', 1 ],
    [ 'app_metadata has pro', 0 ],     [ 'app_metadata.object has k', 1 ],
    [ 'app_metadata has a.b', 1 ],     [ 'scope has read', 1 ],
    [ 'scope has write:all', 1 ],      [ 'scope has write', 0 ],
    [ 'scope has "read write:all"', 0 ], [ 'scope has ""', 0 ],
    [ 'nobody has ""', 0 ],            [ 'app_metadata.seats has 5', 0 ],
    [ 'app_metadata.beta has true', 0 ], [ 'aud has authenticated', 1 ],
    # match
    [ 'email match @example\.com$', 1 ], [ 'email match ^bob@', 0 ],
    [ 'email match (?i)^ALICE@', 1 ],  [ 'email match ^ALICE@', 0 ],
    [ 'phone match ^$', 1 ],           [ 'nobody match ^', 0 ],
    [ 'app_metadata.nothing match .*', 0 ],
    [ 'app_metadata.seats match 5', 0 ], [ 'app_metadata match .', 0 ],
    [ 'app_metadata.text match end$', 1 ],
    [ 'app_metadata.text match ^line$', 0 ],
    [ 'app_metadata.plan match "^(pro|team)$"', 1 ],
    [ 'app_metadata.plan match "^\w{3}$"', 1 ],
    # gt and its kin
    [ 'app_metadata.seats gt 4', 1 ],  [ 'app_metadata.seats gt 5', 0 ],
    [ 'app_metadata.seats ge 5', 1 ],  [ 'app_metadata.seats ge 6', 0 ],
    [ 'app_metadata.seats lt 6', 1 ],  [ 'app_metadata.seats lt 5', 0 ],
    [ 'app_metadata.seats le 5', 1 ],  [ 'app_metadata.seats le 4', 0 ],
    [ 'app_metadata.seats gt -1', 1 ], [ 'app_metadata.seats lt 1e3', 1 ],
    [ 'app_metadata.ratio gt 0.5', 1 ], [ 'app_metadata.ratio le 0.75', 1 ],
    [ 'app_metadata.ratio gt 0.75', 0 ],
    [ 'app_metadata.big gt 9007199254740992', 1 ],
    [ 'app_metadata.plan gt 1', 0 ],   [ 'app_metadata.plan lt 1', 0 ],
    [ 'app_metadata.beta ge 0', 0 ],   [ 'nobody lt 1', 0 ],
    [ 'nobody ge 0', 0 ],              [ 'app_metadata.nothing le 0', 0 ],
    [ 'exp gt 1000000000', 1 ],
    # paths
    [ 'app_metadata.roles.0 eq admin', 1 ],
    [ 'app_metadata.roles.1 eq editor', 1 ],
    [ 'app_metadata.roles.3 eq ""', 0 ], [ 'amr.0.method eq password', 1 ],
    [ 'app_metadata.nested.deep.er eq x', 1 ],
    [ 'app_metadata.nested.deep.er.no eq x', 0 ],
    [ "'app_metadata.a\\.b' eq dotted", 1 ], [ 'app_metadata.a.b eq dotted', 0 ],
    [ 'plan eq pro', 0 ],              [ "\xc3\xbc eq \xc3\xbc", 1 ],
    # variables as values
    [ 'sub eq $arg_user', 1 ],         [ 'sub eq $arg_other', 0 ],
    [ 'app_metadata.seats ge $arg_n', 1 ],
    [ 'app_metadata.seats ge $arg_big', 0 ],
    [ 'app_metadata.seats lt $arg_user', 0 ],
    [ 'app_metadata.seats ge $arg_none', 0 ],
    [ 'app_metadata.roles has $arg_role', 1 ],
    [ 'role in "x,$oa_auth_role"', 1 ], [ 'sub eq $oa_auth_sub', 1 ],
    [ 'email eq "$arg_name@example.com"', 1 ],
    # several
    [ 'role eq authenticated; oa_auth_require aal eq aal1', 1 ],
    [ 'role eq authenticated; oa_auth_require aal eq aal2', 0 ],
    [ 'role eq x; oa_auth_require aal eq aal1', 0 ],
);

my $locations = join '', map {
    "location = /$_ { oa_auth t; oa_auth_require $cases[$_][0]; empty_gif; }\n"
} 0 .. $#cases;

my $ng = OA::Nginx->new(
    files => { 'keys.json' => jwks($key) },
    http  => <<"CONF");
    oa_issuer t {
        jwks_file keys.json; issuer $ISSUER; audience authenticated;
    }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        add_header X-Error \$oa_auth_error always;
        $locations

        location /error {
            oa_auth t;
            location /error/401 {
                oa_auth_require aal eq aal2 error=401; empty_gif;
            }
            location /error/402 {
                oa_auth_require aal eq aal2 error=402; empty_gif;
            }
            location /error/404 {
                oa_auth_require aal eq aal2 error=404; empty_gif;
            }
            location /error/first {
                oa_auth_require aal eq aal1 error=402;
                oa_auth_require aal eq aal2 error=404;
                oa_auth_require aal eq aal3 error=401;
                empty_gif;
            }
            location /error/page {
                error_page 403 = \@page;
                oa_auth_require aal eq aal2;
                empty_gif;
            }
        }
        location \@page { return 200 "page <\$oa_auth_sub>"; }
    }
    server {
        listen 127.0.0.1:%%PORT_1%%;
        oa_auth t;
        oa_auth_require aal eq aal2;
        location /inherited { empty_gif; }
        location /replaced { oa_auth_require aal eq aal1; empty_gif; }
        location /off { oa_auth_require off; empty_gif; }
        location /noauth { oa_auth off; empty_gif; }
        location /optional { oa_auth t optional; empty_gif; }
        location /deep { location /deep/er { empty_gif; } }
        location /if {
            oa_auth_require aal eq aal1;
            if (\$arg_x) { add_header X-If 1; }
            empty_gif;
        }
        location /limit {
            limit_except GET { allow all; }
            proxy_pass http://127.0.0.1:%%PORT_2%%;
        }
    }
    server { listen 127.0.0.1:%%PORT_2%%; return 200; }
CONF

my @client = map { OA::Client->new($ng->port($_)) } 0, 1;

sub ask {
    my ($n, $path, $token, %o) = @_;
    return $client[$n]->get($path, %o, headers => [
        defined $token ? (Authorization => "Bearer $token") : () ]);
}

my $token = $key->token(\%claims);

for my $i (0 .. $#cases) {
    my ($condition, $holds) = @{ $cases[$i] };
    my $r = ask(0, "/$i?user=$USER&other=x&n=5&big=6&role=admin&name=alice",
                $token);
    is $r->status, $holds ? 200 : 403,
        "$condition: " . ($holds ? 'holds' : 'does not');
}

# the answer

my $r = ask(0, '/1', $token);
is $r->header('WWW-Authenticate'),
    'Bearer realm="t", error="insufficient_scope"', '403: the challenge';
is $r->header('Content-Type'), 'application/problem+json', 'a problem';
like $r->body, qr/"code":\s*"insufficient_scope"/, 'and its code';
is $r->header('X-Error'), undef, '$oa_auth_error is empty: the token is good';
is ask(0, '/1', $key->token({ exp => 1000 }))->status, 401, 'a bad token: 401';
is ask(0, '/1')->status, 401, 'no token: 401';
is ask(0, '/1')->header('WWW-Authenticate'), 'Bearer realm="t"',
    'bare, with nothing of scopes';

is ask(0, "/error/$_", $token)->status, $_, "error=$_" for 401, 402, 404;
is ask(0, '/error/first', $token)->status, 404,
    'several: the first that fails says which';
like ask(0, '/error/401', $token)->header('WWW-Authenticate') // '',
    qr/insufficient_scope/, 'error=401: a challenge';
is ask(0, '/error/page', $token)->body, "page <$USER>",
    'an error_page, which knows who it was';

# inheritance

my %mfa = (aal1 => $token, aal2 => $key->token({ aal => 'aal2' }));
my %want = ('/inherited' => '403 200', '/replaced' => '200 403',
            '/off' => '200 200', '/noauth' => '200 200',
            '/optional' => '403 200', '/deep/er' => '403 200',
            '/if' => '200 403', '/if?x=1' => '200 403', '/limit' => '403 200');
for my $path (sort keys %want) {
    is join(' ', map { ask(1, $path, $mfa{$_})->status } sort keys %mfa),
        $want{$path}, "$path: of aal1 and aal2";
}
is ask(1, '/limit', $mfa{$_->[0]}, method => 'POST', body => '')->status,
    $_->[1], "/limit, POST, $_->[0]" for [ aal1 => 403 ], [ aal2 => 200 ];
is ask(1, '/optional')->status, 200, 'optional: without a token no condition';
is ask(1, '/noauth')->status, 200, 'without oa_auth, too';
is ask(1, '/inherited')->status, 401, 'else a token is asked for';

# judged for each request, of a cached token too

is ask(0, '/0', $token)->status, 200, 'one location';
is ask(0, '/1', $token)->status, 403, 'another, by the same token';
is ask(0, '/0', $token)->status, 200, 'and the first again';

done_testing;
