# What docs/streams.md has for pages, in a real browser: the client, and
# EventSource.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Agent;
use OA::Browser;
use OA::Nginx;
use OA::Util qw(slurp top);

plan skip_all => 'no chromium-driver: make deps' unless OA::Browser->is_there;

my ($client, $page, $source) = slurp(top() . '/docs/streams.md')
    =~ /^```js\n(.*?)^```$/gms;
like $source, qr{^export async function listen}, 'the code was found';

my $agent = OA::Agent->new(sub {
    my ($c, $request) = @_;
    my ($how) = $request->body =~ /"message":"(\w+)"/;
    $c->head;
    $c->event(qq(data: {"text":"$_"}\n\n)) for qw(a b);
    $c->stall if $how eq 'stall';
    $c->event(qq(data: {"error":"no","code":"ouch"}\n\n)) if $how eq 'error';
    $c->event(qq(data: {"text":"c"}\n\n));
    $c->end;
});

my $ng = OA::Nginx->new(
    files => {
        'index.html' => '<!DOCTYPE html><title>page</title>',
        'stream.js' => $client, 'page.js' => $page, 'source.js' => $source,
    },
    http => <<"CONF");
    types { text/html html; text/javascript js; }
    server {
        listen 127.0.0.1:%%PORT_0%%;
        root %%DIR%%;
        location = /api/chat/stream { oa_sse_pass @{[ $agent->url ]}; }
    }
CONF

my $browser = OA::Browser->new;
$browser->open('http://localhost:' . $ng->port . '/index.html');

sub ask {
    return $browser->run_async(<<'JS', @_);
        const [message] = arguments;
        let text = '';
        import('/page.js').then(async page => {
          const end = await page.ask(message, some => {
            text += some;
            if (message === 'stall' && some === 'b') {
              page.cancel();
            }
          });
          done(text + ' ' + end);
        }).catch(error => done(String(error)));
JS
}

sub hear {
    return $browser->run_async(<<'JS', @_);
        const [message] = arguments;
        let text = '';
        import('/source.js').then(source => source.listen(message,
          some => { text += some; }, end => done(text + ' ' + end)))
          .catch(error => done(String(error)));
JS
}

is ask('plain'), 'abc done', 'the client';
is ask('error'), 'ab ouch', 'with an error of the agent';
is ask('stall'), 'ab stopped', 'and stopped';
is hear('plain'), 'abc done', 'EventSource';
is hear('error'), 'ab ouch', 'with an error of the agent';
is hear(1), ' message_invalid', 'refused';

done_testing;
