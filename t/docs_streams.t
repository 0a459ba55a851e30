# The client of docs/streams.md, as it stands there: it reads a stream to its
# end whatever happens to its connections.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Agent;
use OA::Nginx;
use OA::Token qw(key jwks $ISSUER);
use OA::Util qw(reap slurp spawn spew temp_dir top wait_for);

my $node = `sh -c 'command -v node'`;
chomp $node;
plan skip_all => 'no node: make deps' if $node eq '';

my ($client, $page) = slurp(top() . '/docs/streams.md')
    =~ /^```js\n(.*?)^```$/gms;
like $client, qr{^// stream\.js}, 'the client was found';
like $page, qr{^export async function ask}m, 'and what uses it';

# for those who cannot wait
is $client =~ s/(SILENCE = )(45000)/$1globalThis.silence ?? $2/
   + $client =~ s/(pause = )1000/${1}50/g, 3, 'it waits';

my $agent = OA::Agent->new(sub {
    my ($c, $request) = @_;
    my ($how) = $request->body =~ /"message":"(\w+)"/;
    my $text = sub { $c->event(qq(data: {"text":"$_[0]"}$_[1]$_[1])) };
    $c->head;
    if ($how eq 'plain') {
        $c->event(": a comment\r\rdata:{\"text\":\r\ndata: \"on\"}\r\n\r\n");
        $c->event("event: message\ndata: {\"text\":\"e \xc3\xbc\"}\n\n",
                  pace => 0.001);
        $text->(' two', "\r");
    } else {
        $text->('a', "\n");
        $text->('b', "\n");
        $c->wait('go') if $how eq 'wait';
        $c->event(qq(data: {"error":"it \\"hurts\\"","code":"ouch"}\n\n"))
            if $how eq 'error';
        $text->('c', "\n");
    }
    $c->event("data: [DONE]\n\n");
    $c->end;
});

my $key = key('ES256');
my $ng = OA::Nginx->new(
    files => { 'jwks.json' => jwks($key) },
    http  => <<"CONF");
    oa_issuer t {
        jwks_file jwks.json;
        issuer $ISSUER; audience authenticated;
    }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        location = /api/chat/stream {
            oa_auth t;
            oa_sse_pass @{[ $agent->url ]};
        }
    }
CONF

# A line that can be bad, and what the page says.
my $tmp = temp_dir();
spew("$tmp/stream.js", $client);
spew("$tmp/page.js", $page);
spew("$tmp/package.json", '{"type":"module"}');
spew("$tmp/driver.js", <<'JS');
const [base, token, message, fault, options] = process.argv.slice(2);
if (fault.startsWith('silent')) {
  globalThis.silence = 1500;
}
const { ask, cancel } = await import('./page.js');
const faults = fault.includes(':') ? [fault.split(':')] : [];
const real = globalThis.fetch;

globalThis.fetch = async (url, init) => {
  const id = init.headers?.['Last-Event-ID'] ?? '';
  console.log('request', init.method, url.includes('stream=') ? 'named' : '-',
              id.replace(/.*-/, '') || '-');
  if (init.method === 'DELETE') {
    init.headers = { Authorization: `Bearer ${token}` };
  }
  const answer = await real(base + url, init);
  const [what, n] = faults.shift() ?? [];
  if (what === 'unheard') {
    throw new TypeError('the answer is lost');
  }
  if (what === undefined) {
    return answer;
  }
  if (what === 'signal') {
    const off = new AbortController();
    process.once('SIGUSR1', () => off.abort());
    return new Response(answer.body.pipeThrough(new TransformStream(), off),
                        answer);
  }
  const bytes = [];
  for await (const some of answer.body) {
    bytes.push(...some);
  }
  const body = new ReadableStream({
    start(to) {
      init.signal.addEventListener('abort', () => to.error(new Error('off')));
      to.enqueue(Uint8Array.from(bytes.slice(0, n)));
    },
    pull(to) {
      if (what === 'cut') {
        to.error(new TypeError('cut'));
      }
    },
  });
  return new Response(body, answer);
};

const more = {};
if (token) {
  more.headers = async () => ({ Authorization: `Bearer ${token}` });
}
if (options) {
  Object.assign(more, JSON.parse(options));
}
const show = text => {
  console.log('text', text);
  if (fault === 'cancel' && text === 'b') {
    cancel().then(answer => console.log('cancelled', answer.status));
  }
};
console.log('end', await ask(message, show, more));
console.log('at', JSON.stringify(more.at ?? null));
process.exit(0);
JS

my $token = $key->token;
my $n = 0;

# Begins; what it says goes to a file.
sub begin {
    my ($message, $fault, %o) = @_;
    my $file = "$tmp/out." . ++$n;
    my $pid = spawn(
        argv => [ $node, "$tmp/driver.js", 'http://127.0.0.1:' . $ng->port,
                  $o{token} // $token, $message, $fault // '',
                  $o{options} // '' ],
        output => $file);
    return { pid => $pid, file => $file };
}

sub said { eval { slurp($_[0]{file}) } // '' }

sub finish {
    my ($run) = @_;
    my $status = reap($run->{pid}, 30);
    if (!defined $status) {
        kill 'KILL', $run->{pid};
        reap($run->{pid});
    }
    my $said = said($run);
    is $status, 0, 'the page ended' or diag $said;
    my @requests = $said =~ /^request (.*)$/mg;
    my $text = join '', $said =~ /^text (.*)$/mg;
    my ($end) = $said =~ /^end (.*)$/m;
    return ($text, $end, join ', ', @requests);
}

# The agent's requests since it was asked last.
my $asked = 0;
sub runs {
    my $before = $asked;
    $asked = () = $agent->requests;
    return $asked - $before;
}

is_deeply [ finish(begin('plain')) ],
    [ "one \xc3\xbc two", 'done', 'POST - -' ], 'whatever ends a line';
runs();

is_deeply [ finish(begin('short', 'unheard:')) ],
    [ 'abc', 'done', 'POST - -, POST - -' ], 'an answer that never came';
is runs(), 1, 'the run was begun once';

my ($id) = 'id: local-' . '0' x 32 . "-1\n";
for my $case ([ 0, 'POST - -, GET named -' ], [ 9, 'POST - -, GET named -' ],
              [ length($id) + 20, 'POST - -, GET named 1' ],
              [ length($id) + 39, 'POST - -, GET named 1' ],
              [ 2 * length($id) + 44, 'POST - -, GET named 2' ])
{
    my ($bytes, $requests) = @$case;
    is_deeply [ finish(begin('short', "cut:$bytes")) ],
        [ 'abc', 'done', $requests ], "cut after $bytes bytes";
    is runs(), 1, 'one run';
}

my ($text, $end, $requests) = finish(begin('short', 'silent:75'));
is "$text $end", 'abc done', 'a dead line is given up';
is $requests, 'POST - -, GET named 1', 'and another one taken';
runs();

is_deeply [ finish(begin('error')) ], [ 'ab', 'ouch', 'POST - -' ],
    'the agent tells of an error';

is_deeply [ finish(begin('short', '', token => '')) ],
    [ '', 'login_required', 'POST - -' ], 'refused';

my $run = begin('wait', 'cancel');
is_deeply [ finish($run) ], [ 'ab', 'stopped', 'POST - -, DELETE named -' ],
    'stopped';
like said($run), qr/^cancelled 204$/m, 'by DELETE';

# a page that was reloaded

$run = begin('short', '', options => '{"at":{}}');
finish($run);
my ($at) = said($run) =~ /^at (.*)$/m;
like $at, qr/"key":"[-\w]+".*"name":"local-\w{32}".*-4"/, 'where it is';
is_deeply [ finish(begin('x', '', options => qq({"at":$at}))) ],
    [ '', 'done', 'GET named 4' ], 'who has it all learns so';
$at =~ s/,"last".*/}/;
is_deeply [ finish(begin('x', '', options => qq({"at":$at}))) ],
    [ 'abc', 'done', 'GET named -' ], 'who has lost the text gets it again';
runs();

# nginx reloads: the stream goes on in the old worker, who comes back is served
# by the new one

$run = begin('wait', 'signal:');
ok +(wait_for { said($run) =~ /^text b$/m } 20), 'it reads';
$ng->write_conf(main => 'worker_shutdown_timeout 1s;');
ok $ng->reload, 'a reload';
kill 'USR1', $run->{pid};
ok +(wait_for { said($run) =~ /^request GET named 2$/m } 20), 'it comes back';
$agent->say('go');
($text, $end) = finish($run);
is "$text $end", 'abc done', 'and gets the rest';
is runs(), 1, 'of the same run';

# and where the old worker cannot wait for it

$run = begin('wait');
ok +(wait_for { said($run) =~ /^text b$/m } 20), 'it reads';
ok $ng->reload, 'a reload';
is_deeply [ finish($run) ], [ 'ab', 'shutdown', 'POST - -, GET named 2' ],
    'it is sent to the new one, and told';

# a worker dies, and the stream with it

$run = begin('wait');
ok +(wait_for { said($run) =~ /^text b$/m } 20), 'it reads';
$ng->kill_worker(0);
is_deeply [ (finish($run))[0, 1] ], [ "ab[\xe2\x80\xa6]", 'stream_lost' ],
    'it is told';

done_testing;
