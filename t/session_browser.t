# In a real browser: the login page of the main domain begins a session on an
# agent's host; a page on a sibling host can do nothing with it.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Browser;
use OA::Nginx;
use OA::Routes qw(route routes_file);
use OA::Token qw(key jwks uuid $ISSUER $USER);
use OA::Util qw(slurp wait_for);

plan skip_all => 'no chromium-driver: make deps' unless OA::Browser->is_there;

my $key = key('ES256', kid => 'k1');
my $token = $key->token;
my $mallory = uuid();
my $evil = $key->token({ sub => $mallory });

my $ng = OA::Nginx->new(
    files => {
        'jwks.json' => jwks($key),
        'routes.json' => routes_file(
            route('alice', user_id => $USER, access => 'owner'),
            route('mallory', user_id => $mallory, access => 'public')),
        'login.html' => <<"HTML",
<!DOCTYPE html><title>login</title>
<form method="post"
      action="http://alice.openagents.localhost:%%PORT_0%%/.oa/session">
<input type="hidden" name="access_token" value="$token">
<input type="hidden" name="next" value="/welcome?a=b">
<button>go on</button></form>
HTML
    },
    http => <<"CONF");
    oa_issuer t {
        jwks_file jwks.json;
        issuer $ISSUER; audience authenticated;
    }
    oa_routes t {
        domain openagents.localhost;
        source file routes.json;
    }
    log_format t '\$host \$request_method \$uri \$status '
                 '"\$oa_auth_sub" "\$http_cookie"';

    server {
        listen 127.0.0.1:%%PORT_0%%;
        server_name openagents.localhost;
        location = /login { default_type text/html; alias %%DIR%%/login.html; }
    }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        server_name *.openagents.localhost;
        access_log access.log t;
        oa_router t;
        oa_auth t;
        oa_auth_origin http://openagents.localhost:%%PORT_0%%;
        oa_login_url http://openagents.localhost:%%PORT_0%%/login;

        location / {
            proxy_set_header X-Agent \$oa_subdomain;
            proxy_set_header X-User \$oa_auth_sub;
            proxy_set_header Cookie "";
            proxy_pass http://127.0.0.1:%%PORT_1%%;
        }
        location = /.oa/session { oa_session t; }
    }
    server {
        listen 127.0.0.1:%%PORT_1%%;
        default_type text/html;
        location / {
            return 200 "<title>\$http_x_agent</title>\$http_x_agent for \$http_x_user";
        }
        location /events {
            default_type text/event-stream;
            return 200 "data: secret\\n\\n";
        }
    }
CONF

my $port = $ng->port;
my $alice = "http://alice.openagents.localhost:$port";
my $sibling = "http://mallory.openagents.localhost:$port";
my $main = "http://openagents.localhost:$port";

# Lines of the access log, each a list; what is asked for is waited for.
my $seen = 0;
sub logged {
    my ($n) = @_;
    my @lines;
    wait_for {
        @lines = split /\n/, slurp($ng->path('access.log'));
        splice @lines, 0, $seen;
        @lines = grep { !/favicon/ } @lines;
        @lines >= $n;
    } 20;
    return map { [ /^(\S+) (\S+) (\S+) (\S+) "(.*?)" "(.*)"$/ ] } @lines;
}
sub forget { $seen = () = slurp($ng->path('access.log')) =~ /^/mg }

my $browser = OA::Browser->new;

subtest 'login' => sub {
    $browser->open("$alice/welcome?a=b");
    is $browser->url, "$main/login", 'who is nobody is sent to log in';

    $browser->run('document.forms[0].submit()');
    ok +(wait_for { $browser->url eq "$alice/welcome?a=b" } 20),
        'the form leads back' or diag $browser->url;
    is $browser->text, "alice for $USER", 'as the user';

    my @cookies = $browser->cookies;
    is @cookies, 1, 'one cookie';
    is $cookies[0]{name}, '__Host-t', 'its name';
    is $cookies[0]{value}, $token, 'its value';
    is $cookies[0]{domain}, 'alice.openagents.localhost', 'of this host alone';
    ok $cookies[0]{httpOnly}, 'HttpOnly';
    ok $cookies[0]{secure}, 'Secure';
    is $cookies[0]{sameSite}, 'Lax', 'SameSite';
    is $browser->run('return document.cookie'), '', 'no script sees it';
};

# what a page does: how it ends, by name
my $tries = <<'JS';
const [host, token] = arguments;
const results = {};
const form = { 'Content-Type': 'application/x-www-form-urlencoded' };

function ask(path, how) {
    return fetch(host + path, { credentials: 'include', ...how })
        .then(async r => r.type == 'opaque' ? 'opaque'
                         : r.status + ' ' + await r.text())
        .catch(e => 'refused');
}

function events() {
    return new Promise(resolve => {
        const source = new EventSource(host + '/events',
                                       { withCredentials: true });
        source.onmessage = e => { source.close(); resolve(e.data) };
        source.onerror = e => { source.close(); resolve('refused') };
    });
}

function socket() {
    return new Promise(resolve => {
        const ws = new WebSocket(host.replace('http', 'ws') + '/socket');
        ws.onopen = e => resolve('open');
        ws.onerror = e => resolve('refused');
    });
}

function frame(method, path, fields) {
    return new Promise(resolve => {
        const iframe = document.createElement('iframe');
        iframe.name = 'f' + path;
        document.body.append(iframe);
        const form = document.createElement('form');
        form.method = method;
        form.action = host + path;
        form.target = iframe.name;
        for (const name in fields) {
            const input = document.createElement('input');
            [ input.name, input.value ] = [ name, fields[name] ];
            form.append(input);
        }
        document.body.append(form);
        iframe.onload = () => {
            let text = 'unreadable';
            try { text = iframe.contentDocument.body.innerText } catch { }
            resolve(text);
        };
        form.submit();
    });
}

(async () => {
    results.get = await ask('/get', {});
    results.blind = await ask('/blind', { mode: 'no-cors' });
    results.post = await ask('/post', { method: 'POST', mode: 'no-cors' });
    results.put = await ask('/put', { method: 'PUT' });
    results.events = await events();
    results.socket = await socket();
    results.form = await frame('POST', '/form', { a: 'b' });
    results.stream = await ask('/stream', { mode: 'no-cors',
        headers: { Accept: 'text/event-stream' } });
    results.session = await ask('/.oa/session', { method: 'POST',
        mode: 'no-cors', headers: form, body: 'access_token=' + token });
    results.fixed = await frame('POST', '/.oa/session',
                                { access_token: token, next: '/' });
    results.logout = await ask('/.oa/session', { method: 'DELETE' });
    done(results);
})();
JS

subtest 'a page of its own' => sub {
    forget();
    my $script = $tries =~ s/results\.(?:session|fixed|logout) =.*?;\n//gsr;
    my $result = $browser->run_async($script, $alice, $evil);
    is $result->{get}, "200 <title>alice</title>alice for $USER", 'reads';
    is $result->{put}, "200 <title>alice</title>alice for $USER", 'writes';
    is $result->{events}, 'secret', 'has a stream';

    my %status = map { ("$_->[1] $_->[2]" => "$_->[3] $_->[4]") } logged(8);
    is $status{$_}, "200 $USER", "$_: as the user"
        for 'GET /get', 'GET /blind', 'POST /post', 'PUT /put', 'GET /events',
            'GET /socket', 'POST /form', 'GET /stream';
};

subtest 'a sibling' => sub {
    $browser->open("$sibling/");
    is $browser->text, 'mallory for', 'has a page, and no cookie';
    forget();

    my $result = $browser->run_async($tries, $alice, $evil);
    is_deeply $result, {
        get => 'refused', blind => 'opaque', post => 'opaque',
        put => 'refused', events => 'refused', socket => 'refused',
        form => 'unreadable', stream => 'opaque', session => 'opaque',
        fixed => 'unreadable', logout => 'refused',
    }, 'reads nothing';

    my @lines = logged(9);
    my %status = map { ("$_->[1] $_->[2]" => "$_->[3] $_->[4]") } @lines;
    is $status{$_}, '401 ', "$_: no user"
        for 'POST /post', 'GET /events', 'GET /socket', 'POST /form',
            'GET /stream';
    is $status{'POST /.oa/session'}, '403 ', 'begins no session';
    is $status{'GET /get'}, "200 $USER",
        'though what is safe is done, and not told';
    ok !exists $status{'PUT /put'} && !exists $status{'DELETE /.oa/session'},
        'preflights keep the rest from being sent';
    ok +(grep { $_->[5] =~ /__Host-t=/ && $_->[3] == 401 } @lines),
        'the browser did send the cookie along';
};

subtest 'a cookie for all siblings' => sub {
    my $name = 'sb-abcdefghijklmnopqrst-auth-token';
    $browser->run(<<'JS', $name, $evil);
        const [name, token] = arguments;
        document.cookie = name + '=' + token + '; Domain=openagents.localhost';
        document.cookie = '__Host-t=' + token
            + '; Domain=openagents.localhost; Path=/; Secure';
JS
    forget();
    $browser->open("$alice/");
    is $browser->text, "alice for $USER", 'does not take the place of ours';
    my ($line) = logged(1);
    like $line->[5], qr/\Q$name\E=/, 'though it is sent';
    is scalar(() = $line->[5] =~ /__Host-t=/g), 1,
        'but for a name that binds it to the host';
};

subtest 'logout' => sub {
    is $browser->run_async(
        'fetch("/.oa/session", { method: "DELETE" }).then(r => done(r.status))'),
        204, 'status';
    is_deeply [ grep { $_->{name} eq '__Host-t' } $browser->cookies ], [],
        'the cookie is gone';

    forget();
    $browser->open("$alice/welcome");
    my ($line) = logged(1);
    unlike $line->[5], qr/__Host-t/, 'and is not sent';
    is $line->[3], 404, 'who was the user is what the sibling made of them';
};

done_testing;
