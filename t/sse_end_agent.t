# An agent that tells of its own failure: its words and its code, or ours.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Agent;
use OA::Ends qw(listen_both ends_as files);
use OA::Nginx;
use OA::Util qw(wait_for);

my $stop = ',"finish_reason":"stop"';
my $text = '{"choices":[{"delta":{"content":"a"}%s}]}';
my $said = qr/the agent told of an error, "%s"/;

sub chat { my ($rest) = @_; return 'data: ' . sprintf($text, $rest // '')
                                   . "\n\n" }
sub error { return "data: $_[0]\n\n" }

# dialect and path; bytes; events; code; text
my @cases = (
    [ 'seed/first', error('{"error":"no."}'), [], 'agent_error', 'no.' ],
    [ 'seed/later', "data: a\n\n" . error('{"error":"no"}'), [ 'a' ],
      'agent_error', 'no' ],
    [ 'seed/code', error('{"error":"no","code":"out_of_money"}'), [],
      'out_of_money', 'no' ],
    [ 'seed/code-first', error('{"code":"a.b-c","error":""}'), [], 'a.b-c',
      '' ],
    (map { [ "seed/code-$_->[0]", error(qq({"error":"no","code":$_->[1]})),
             [], 'agent_error', 'no' ]
         } [ quotes => '"a\"b"' ], [ empty => '""' ], [ upper => '"A"' ],
           [ space => '"a b"' ], [ long => '"' . 'x' x 65 . '"' ],
           [ number => 1 ], [ null => 'null' ], [ lf => '"a\n"' ]),
    [ 'seed/quotes', error('{"error":"say \"no\" \\\\"}'), [], 'agent_error',
      'say "no" \\' ],
    [ 'seed/newlines', error('{"error":"a\n\ndata: [DONE]\r\n"}'), [],
      'agent_error', "a\n\ndata: [DONE]\r\n" ],
    [ 'seed/nul', error('{"error":"a\u0000b"}'), [], 'agent_error', "a\0b" ],
    [ 'seed/utf-8', error("{\"error\":\"\xc3\xa4 \\u00e4\"}"), [],
      'agent_error', "\xe4 \xe4" ],
    [ 'seed/long', error('{"error":"' . 'x' x 300_000 . '"}'), [],
      'agent_error', 'x' x 300_000 ],
    [ 'seed/longer', "data: a\n\n" . error('{"error":"' . 'x' x 600_000
                                           . '","code":"long"}'),
      [ 'a' ], 'long', 'The agent told of an error.' ],
    [ 'seed/lines', "event: error\ndata: {\"error\":\ndata: \"no\"}\n\n", [],
      'agent_error', 'no' ],
    [ 'seed/twice', error('{"error":"a"}') . error('{"error":"b"}')
                    . "data: [DONE]\n\n", [], 'agent_error', 'a' ],

    # agents may talk about errors
    (map { [ "seed/talk-$_->[0]", error($_->[1]), [ $_->[1] ], 'done' ]
         } [ more => '{"error":"no","text":"a"}' ],
           [ text => '{"text":"{\"error\":\"no\"}"}' ],
           [ object => '{"error":{"message":"no"}}' ],
           [ nul => "{\"error\":\"a\0b\"}" ],
           [ half => '{"error":"a' ],
           [ array => '[{"error":"no"}]' ]),

    [ 'openclaw/done', chat($stop) . "data: [DONE]\n\n", [ '{"text":"a"}' ],
      'done' ],
    [ 'openclaw/finished', chat($stop), [ '{"text":"a"}' ], 'done' ],
    [ 'openclaw/done-only', chat() . "data: [DONE]\n\n", [ '{"text":"a"}' ],
      'done' ],
    [ 'openclaw/done-more', chat($stop) . "data: [DONE]\n\n" . chat(),
      [ '{"text":"a"}' ], 'done' ],
    [ 'openclaw/done-unfinished', chat() . "data: [DONE]", [ '{"text":"a"}' ],
      'done' ],
    [ 'openclaw/unfinished', chat(), [ '{"text":"a"}' ], 'stream_truncated' ],
    [ 'openclaw/nothing', '', [], 'stream_truncated' ],
    [ 'openclaw/strange', "data: not json\n\n" . chat($stop),
      [ '{"text":"a"}' ], 'done' ],

    [ 'openclaw/error', chat() . error('{"error":{"message":"no \"\n",'
                                       . '"type":"rate_limit"}}')
                        . "data: [DONE]\n\n",
      [ '{"text":"a"}' ], 'rate_limit', "no \"\n" ],
    [ 'openclaw/error-first', error('{"error":{"message":"no","type":"x y"}}'),
      [], 'agent_error', 'no' ],
    [ 'openclaw/error-text', error('{"error":"no"}'), [], 'agent_error',
      'no' ],
    [ 'openclaw/error-nul', error('{"error":{"message":"\u0000"}}'), [],
      'agent_error', "\0" ],

    [ 'raw/error', error('{"error":"no","code":"x"}'),
      [ '{"error":"no","code":"x"}' ], 'done' ],
);

my %bytes = map { ("/$_->[0]" => $_->[1]) } @cases;
my $agent = OA::Agent->new(sub {
    my ($c, $request) = @_;
    $c->head(hold => 1);
    $c->event($bytes{$request->path}) if $bytes{$request->path};
    $c->end;
});

my $url = $agent->url;
my $ng = OA::Nginx->new(http => <<"CONF");
    oa_sse_buffer 1m;
    server {
        @{[ listen_both() ]}
        location / { oa_sse_pass $url; }
        location /openclaw { oa_sse_pass $url; oa_sse_dialect openclaw; }
        location /raw { oa_sse_pass $url; oa_sse_dialect raw; }
    }
CONF

my $before = files($ng);

for my $case (@cases) {
    my ($path, undef, $events, $code, $error) = @$case;
    ends_as($ng, "/$path", events => $events, code => $code,
            agent => defined $error,
            defined $error ? (error => $error, log => sprintf $said, $code)
                           : (),
            request => { method => 'POST', body => '{"message":"hello"}' });
}

ok +(wait_for { files($ng) <= $before } 5), 'no file is left open';

done_testing;
