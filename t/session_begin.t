# oa_session: a token that is handed over becomes a cookie of this host alone,
# and is taken away again.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP qw(decode_json encode_json);
use OA::Client qw(http_request h2_request);
use OA::Nginx;
use OA::Token qw(key jwks uuid $ISSUER $USER);

my $key = key('ES256', kid => 'k1');
my $name = 'sb-abcdefghijklmnopqrst-auth-token';

my $conf = <<"CONF";
    oa_issuer t {
        jwks_file jwks.json;
        issuer $ISSUER; audience authenticated;
    }
CONF

my $ng = OA::Nginx->new(
    files => { 'jwks.json' => jwks($key) }, http => $conf . <<'CONF');
    server {
        listen 127.0.0.1:%%PORT_0%%;
        listen 127.0.0.1:%%PORT_1%% http2;
        add_header X-Told "$oa_auth_error,$oa_auth_sub" always;

        location = /.oa/session { oa_session t; }
        location = /named       { oa_auth t; oa_session mine; }
        location /              { oa_auth t; empty_gif; }
    }
CONF

my $token = $key->token;
my $form = 'application/x-www-form-urlencoded';

sub call {
    my ($method, $path, %o) = @_;
    return http_request($ng->port, $path, method => $method,
                        host => 'alice.openagents.example', %o);
}

sub post {
    my ($type, $body, @headers) = @_;
    return call('POST', '/.oa/session', body => $body, headers => [
                defined $type ? ('Content-Type' => $type) : (), @headers ]);
}

sub code { my ($r) = @_; return (eval { decode_json($r->body)->{code} } // '') }

# A cookie of exactly these attributes, and its name and value.
sub cookie {
    my ($r) = @_;
    my @cookies = $r->header('Set-Cookie');
    is @cookies, 1, 'one cookie';
    my $attributes = '; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=';
    my ($pair, $age) = ($cookies[0] // '') =~ /^([^;]*)$attributes(\d+)$/;
    ok defined $pair, 'its attributes' or diag $cookies[0];
    is $r->header('Cache-Control'), 'no-store', 'no cache keeps it';
    return ($pair, $age);
}

sub good {
    my ($r, $status) = @_;
    is $r->status, $status, "status $status" or diag $r->body;
    my ($pair, $age) = cookie($r);
    is $pair, "__Host-t=$token", 'the token, by a name that binds it';
    cmp_ok $age, '<=', 3600, 'no longer than the token';
    cmp_ok $age, '>', 3500, 'and as long';
    return $pair;
}

subtest 'a form' => sub {
    my $r = post($form, "access_token=$token");
    my $pair = good($r, 303);
    is $r->header('Location'), '/', 'on to the home page';

    $r = call('GET', '/', headers => [ Cookie => $pair ]);
    is $r->header('X-Told'), ",$USER", 'the cookie authenticates';

    my $other = $key->token({ sub => uuid() });
    $r = call('GET', '/', headers => [ Cookie => "$name=$other; $pair" ]);
    is $r->header('X-Told'), ",$USER", 'before that of the whole domain';
};

subtest 'how a form is encoded' => sub {
    for my $body ("a=b&access_token=$token&refresh_token=r&expires_in=3600",
                  'access_token=' . $token =~ s/\./%2E/gr,
                  "access%5ftoken=$token", "access_token=$token&next=",
                  "access_token=$token&access_token=$token")
    {
        is good(post($form, $body), 303), "__Host-t=$token", 'read';
    }
    good(post("\U$form\E ; charset=UTF-8", "access_token=$token"), 303);
};

subtest 'JSON' => sub {
    for my $json (encode_json({ access_token => $token }),
                  " {\n\"next\":\"/x\",\"access_token\":\"$token\",\"a\":[{}]}\n",
                  '{"access_token":"' . $token =~ s/\./\\u002e/r . '"}')
    {
        my $r = post('application/json', $json);
        good($r, 204);
        is $r->header('Location'), undef, 'a script goes on by itself';
        is $r->body, '', 'no body';
    }
    good(post('Application/JSON;charset=utf-8',
              encode_json({ access_token => $token })), 204);
};

subtest 'Authorization' => sub {
    my $r = call('POST', '/.oa/session', headers => [
                 Authorization => "Bearer $token", 'Content-Length' => 0 ]);
    good($r, 204);
    good(post(undef, '', Authorization => "bearer $token"), 204);
    my $r2 = post($form, 'next=/there', Authorization => "Bearer $token");
    good($r2, 303);
    is $r2->header('Location'), '/there', 'and a form beside it';
};

subtest 'HTTP/2' => sub {
    my $r = h2_request($ng->port(1), method => 'POST', path => '/.oa/session',
        authority => 'alice.openagents.example',
        body => "access_token=$token",
        headers => [ 'content-type' => $form,
                     'content-length' => 13 + length $token ]);
    good($r, 303);
    is $r->header('Location'), '/', 'on to the home page';
};

subtest 'its name' => sub {
    my $r = call('POST', '/named', body => "access_token=$token",
                 headers => [ 'Content-Type' => $form ]);
    my ($pair) = cookie($r);
    is $pair, "__Host-mine=$token", 'a name of its own';
    $r = call('GET', '/', headers => [ Cookie => $pair ]);
    is $r->header('X-Told'), ",$USER", 'authenticates as well';
};

subtest 'the end' => sub {
    my $r = call('DELETE', '/.oa/session', headers => [
                 Cookie => "__Host-t=$token" ]);
    is $r->status, 204, 'status';
    my ($pair, $age) = cookie($r);
    is $pair, '__Host-t=', 'nothing is left';
    is $age, 0, 'at once';
    is call('DELETE', '/.oa/session')->status, 204, 'whoever has none';
};

subtest 'other methods' => sub {
    for my $method (qw(GET HEAD PUT PATCH OPTIONS PROPFIND)) {
        my $r = call($method, '/.oa/session', headers => [
                     Authorization => "Bearer $token" ]);
        is $r->status, 405, "$method: not allowed";
        is $r->header('Allow'), 'POST, DELETE', "$method: told what is";
        is $r->header('Set-Cookie'), undef, "$method: no cookie";
    }
};

subtest 'tokens that are refused' => sub {
    my @cases = (
        expired   => $key->token({ exp => time - 100, iat => time - 3700 }),
        key       => key('ES256', kid => 'k2')->token,
        signature => $token =~ s/[^.]*$/AAAA/r,
        audience  => $key->token({ aud => 'x' }),
        claim     => $key->token({ session_id => undef }),
        issuer    => $key->token({ iss => 'https://evil.example' }),
        malformed => 'junk',
    );
    while (my ($error, $bad) = splice @cases, 0, 2) {
        for my $r (post($form, "access_token=$bad"),
                   post('application/json',
                        encode_json({ access_token => $bad })),
                   post(undef, '', Authorization => "Bearer $bad"))
        {
            is $r->status, 401, "$error: status";
            is code($r), 'token_invalid', "$error: code";
            like $r->header('WWW-Authenticate'),
                qr/error="invalid_token", error_description="$error"/,
                "$error: told";
            is $r->header('Set-Cookie'), undef, "$error: no cookie";
        }
    }
};

subtest 'bodies that are refused' => sub {
    my @cases = (
        [ 'nothing', undef, '' ],
        [ 'no token', $form, 'a=b' ],
        [ 'an empty one', $form, 'access_token=' ],
        [ 'two', $form, "access_token=$token&access_token=x" ],
        [ 'badly encoded', $form, 'access_token=%zz' ],
        [ 'no type', undef, "access_token=$token" ],
        [ 'another type', 'text/plain', "access_token=$token" ],
        [ 'another one', 'multipart/form-data; boundary=x',
          "--x\r\nContent-Disposition: form-data; name=\"access_token\"\r\n\r\n"
          . "$token\r\n--x--\r\n" ],
        [ 'JSON as text', 'text/plain',
          encode_json({ access_token => $token }) ],
        [ 'no JSON', 'application/json', "access_token=$token" ],
        [ 'an array', 'application/json', "[\"$token\"]" ],
        [ 'a number', 'application/json', '{"access_token":1}' ],
        [ 'null', 'application/json', '{"access_token":null}' ],
        [ 'JSON twice', 'application/json',
          qq({"access_token":"$token","access_token":"x"}) ],
        [ 'JSON with more behind', 'application/json',
          encode_json({ access_token => $token }) . 'x' ],
        [ 'deep JSON', 'application/json', '[' x 8000 ],
        [ 'another scheme', undef, '', Authorization => "Basic $token" ],
    );
    for my $case (@cases) {
        my ($what, @request) = @$case;
        my $r = post(@request);
        is $r->status, 400, "$what: status";
        is code($r), 'token_invalid', "$what: code";
        is $r->header('Set-Cookie'), undef, "$what: no cookie";
    }
};

subtest 'a connection goes on' => sub {
    my $c = OA::Client->new($ng->port);
    for my $n (1 .. 3) {
        for my $body ('x', "access_token=$token", 'access_token=junk') {
            my $r = $c->get('/.oa/session', method => 'POST', body => $body,
                            headers => [ 'Content-Type' => $form ]);
            is $r->status, { x => 400, 'access_token=junk' => 401 }->{$body}
                // 303, "round $n";
        }
    }
};

# the configuration
for my $case ([ 'oa_session other;', 'needs an "oa_auth", or an "oa_issuer' ],
              [ 'oa_session "a b";', 'is not the name of a cookie' ],
              [ 'oa_session a=b;', 'is not the name of a cookie' ],
              [ 'oa_session t; oa_session t;', 'is duplicate' ],
              [ 'oa_session ' . 'x' x 65 . '; oa_auth t;',
                'is not the name of a cookie' ],
              [ 'oa_session other; oa_auth t;' ],
              [ 'oa_session t; oa_auth off;' ])
{
    my ($directives, $expected) = @$case;
    my ($exit, $text) = OA::Nginx->test_config(
        files => { 'jwks.json' => jwks($key) },
        http => "$conf server { location / { $directives } }");
    is $exit, $expected ? 1 : 0, "$directives: checked" or diag $text;
    like $text, qr/\Q$expected\E/, "$directives: told" if $expected;
}

done_testing;
