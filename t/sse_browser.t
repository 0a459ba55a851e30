# In a real browser: a page begins a run, shows its words as they come, is not
# disturbed by tunnels, reloads and deaths, and stops it; so does a page of
# another origin that may.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Agent;
use OA::Browser;
use OA::Nginx;
use OA::Routes qw(route routes_file);
use OA::Token qw(key jwks $ISSUER $USER);
use OA::Util qw(wait_for);

plan skip_all => 'no chromium-driver: make deps' unless OA::Browser->is_there;

my $key = key('ES256', kid => 'k1');
my $token = $key->token;

# Says a word each time the test says "on".
my $agent = OA::Agent->new(sub {
    my ($c, $request) = @_;
    $c->head;
    for my $word (qw(one two three four five six)) {
        $c->event("retry: 50\ndata: {\"text\":\"$word \"}\n\n");
        $c->wait('on');
    }
    $c->event("data: {\"error\":\"tired\",\"code\":\"no_credits\"}\n\n")
        if $request->body =~ /error/;
    $c->end;
});

my $page = <<'HTML';
<!DOCTYPE html><title>chat</title><p id="text"></p><p id="state"></p>
<script>
const text = document.getElementById('text');
const state = document.getElementById('state');
let name, source, opened = 0;

async function run(chat, message, key) {
    text.textContent = '';
    state.textContent = 'running';
    const response = await fetch(chat, {
        method: 'POST', credentials: 'include',
        headers: { 'Content-Type': 'application/json',
                   'Accept': 'text/event-stream', 'Idempotency-Key': key },
        body: JSON.stringify({ message }) });
    name = response.headers.get('OA-Stream');
    if (!response.ok) {
        state.textContent = (await response.json()).code;
        return;
    }
    response.body.cancel();

    source = new EventSource(chat + '?stream=' + name,
                             { withCredentials: true });
    source.onopen = () => opened++;
    source.onmessage = ({ data }) => {
        if (data == '[DONE]') {
            state.textContent = 'done';
            return;
        }
        const frame = JSON.parse(data);
        if (frame.error) {
            state.textContent = frame.code;
        } else {
            text.textContent += frame.text;
        }
    };
    source.addEventListener('gap', () => text.textContent += '(gap) ');
}

function stop(chat) {
    return fetch(chat + '?stream=' + name, { method: 'DELETE',
                                             credentials: 'include' })
        .then(response => response.status);
}
</script>
HTML

my $ng = OA::Nginx->new(
    workers => 2,
    files => {
        'page.html' => $page, 'jwks.json' => jwks($key),
        'routes.json' => routes_file(
            route('alice', user_id => $USER, access => 'owner')) },
    http => <<"CONF");
    oa_issuer t {
        jwks_file jwks.json;
        issuer $ISSUER; audience authenticated;
    }
    oa_routes t {
        domain openagents.localhost;
        source file routes.json;
    }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        server_name *.openagents.localhost;
        oa_router t;
        oa_auth t;
        oa_auth_origin http://app.openagents.localhost:%%PORT_1%%;
        oa_cors_origin http://app.openagents.localhost:%%PORT_1%%;
        location = /chat { oa_sse_pass @{[ $agent->url ]}; }
        location = /session { oa_session t; }
        location = /page {
            oa_auth off; oa_router off;
            default_type text/html; alias %%DIR%%/page.html;
        }
    }
CONF

# What all browsers come through: it can be cut.
my $tunnel = OA::Nginx->new(
    modules => [], files => { 'page.html' => $page }, http => <<"CONF");
    server {
        listen 127.0.0.1:@{[ $ng->port(1) ]};
        location / {
            proxy_pass http://127.0.0.1:@{[ $ng->port ]};
            proxy_http_version 1.1;
            proxy_set_header Host \$http_host;
        }
    }
    server {
        listen 127.0.0.1:@{[ $ng->port(1) ]};
        server_name app.openagents.localhost evil.openagents.localhost;
        location = /page { default_type text/html; alias %%DIR%%/page.html; }
    }
CONF

my $browser = OA::Browser->new;
my $alice = 'http://alice.openagents.localhost:' . $ng->port(1);
my $chat = "$alice/chat";

sub shows {
    my ($words, $state, $name) = @_;
    my $want = ($words ? "$words " : '') . "|$state";
    my $got;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    ok +(wait_for {
        $got = $browser->run(
            'return text.textContent + "|" + state.textContent');
        $got eq $want;
    } 20), $name or diag "$got, not $want";
}

sub run {
    my ($message, $key) = @_;
    $browser->run('opened = 0; run(...arguments)', $chat, $message,
                  $key // rand);
}

sub given_up {
    ok +(wait_for { $browser->run('return source.readyState') == 2 } 20),
        'and comes back no more';
}

$browser->open("$alice/page");
run('hello');
shows('', 'login_required', 'nobody');

is $browser->run_async('fetch("/session", { method: "POST", body:
        new URLSearchParams({ access_token: arguments[0] }),
        redirect: "manual" }).then(r => done(r.ok || r.type))', $token),
    'opaqueredirect', 'logged in';

sub chats {
    my ($n) = @_;
    run('hello');
    shows('one', 'running', 'the first word');
    $agent->say('on');
    shows('one two', 'running', 'as they come');

    $tunnel->kill_worker(0);
    $agent->say('on');
    shows('one two three', 'running', 'after a cut');
    is $browser->run('return opened'), 2, 'by itself';

    ok $ng->reload, 'reload';
    $agent->say('on');
    shows('one two three four', 'running', 'goes on');
    $tunnel->kill_worker(0);
    $agent->say('on') for 4, 5;
    shows('one two three four five six', 'running', 'after a cut, too');
    $agent->say('on');
    shows('one two three four five six', 'done', 'to the end');
    given_up();
    is $agent->requests, $n + 1, 'one run';

    run('an error');
    $agent->say('on') for 1 .. 6;
    shows('one two three four five six', 'no_credits', 'an error');
    given_up();

    run('stop me', "key $n");
    shows('one', 'running', 'another');
    is $browser->run_async('stop(arguments[0]).then(done)', $chat), 204,
        'stopped';
    shows('one', 'stopped', 'which is its end');
    given_up();
    is $agent->requests, $n + 3, 'one run each';
}

subtest 'a page of ours' => sub { chats(0) };

subtest 'a death' => sub {
    my $n = $agent->requests;
    run('hello');
    shows('one', 'running', 'the first word');
    $ng->kill_worker(0) for $ng->worker_pids;
    shows('one (gap)', 'stream_lost', 'lost, and told so');
    given_up();
    is $agent->requests, $n + 1, 'not run twice';
};

subtest 'a page of another origin' => sub {
    $browser->open('http://app.openagents.localhost:' . $ng->port(1)
                   . '/page');
    chats(scalar $agent->requests);
};

subtest 'a page that may not' => sub {
    my $n = $agent->requests;
    $browser->open('http://evil.openagents.localhost:' . $ng->port(1)
                   . '/page');
    is $browser->run_async('run(...arguments).then(() => done("read"),
                                                   () => done("refused"))',
                           $chat, 'hello', 'k'), 'refused', 'reads nothing';
    is $agent->requests, $n, 'and runs nothing';
};

done_testing;
