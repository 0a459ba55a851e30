# What a browser makes of the bytes of a machine it makes of them through us,
# too: the cases of web-platform-tests' eventsource/format-*, by behaviour.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP;
use OA::Agent;
use OA::Browser;
use OA::Events;
use OA::Nginx;

my $bom = "\xef\xbb\xbf";
my $long = 'x' x 100_000;

# name, bytes, events: data, or [ name, data ]
my @cases = (
    [ 'plain', "data:a\n\n", 'a' ],
    [ 'CR', "data:a\rdata:b\r\rdata:c\r\r", "a\nb", 'c' ],
    [ 'CRLF', "data:a\r\ndata:b\r\n\r\ndata:c\r\n\r\n", "a\nb", 'c' ],
    [ 'each in turn', "data:a\n\r\ndata:b\r\n\ndata:c\r\r\n\ndata:d\n\r",
      'a', 'b', 'c', 'd' ],
    [ 'mixed in an event', "data:a\r\ndata\rdata:b\ndata:\r\n\n",
      "a\n\nb\n" ],
    [ 'blank lines', "\n\r\n\rdata:a\n\n\n\ndata:b\n\n", 'a', 'b' ],
    [ 'a BOM', "${bom}data:a\n\n${bom}data:b\n\ndata:c\n\n", 'a', 'c' ],
    [ 'two BOMs', "$bom${bom}data:a\n\ndata:b\n\ndata:c\n\n", 'b', 'c' ],
    [ 'a BOM in a value', "data:${bom}a\n\n", "\x{feff}a" ],
    [ 'comments', ":\ndata:a\n:x\0:\r\n:\n:$long\ndata:b\n: :\n\n:end\n\n",
      "a\nb" ],
    [ 'a colon', "data::a: b\n\n", ':a: b' ],
    [ 'no colon', "data\n\ndata\ndata\n\ndata:a\n\n", '', "\n", 'a' ],
    [ 'no value', "data:\n\n", '' ],
    [ 'a leading space', "data: a\ndata:  b\ndata:\tc\ndata: \n\n",
      "a\n b\n\tc\n" ],
    [ 'an unknown field', "data:a\n data:b\ndata\ndatax:c\nx:d\nDATA:e\n"
      . "data :f\n\0data:g\ndata\0:h\nda-ta:i\n\n", "a\n" ],
    [ 'NUL in a value', "data:\0a\0\n\n", "\0a\0" ],
    [ 'names', "event:a\ndata:1\n\ndata:2\n\nevent: b \ndata:3\n\n",
      [ a => 1 ], 2, [ 'b ' => 3 ] ],
    [ 'the last name', "event:a\nevent:b\ndata:1\n\nevent:a\nevent\ndata:2\n\n"
      . "event:a\nevent:\ndata:3\n\n", [ b => 1 ], 2, 3 ],
    [ 'a name alone', "event:a\n\ndata:1\n\n", 1 ],
    [ 'a name behind', "data:1\nevent:a\n\n", [ a => 1 ] ],
    [ 'ids', "id:1\ndata:a\n\nid\ndata:b\n\nid:x\0y\ndata:c\n\ndata:d\nid:2\n"
      . "id:3\n\nid:4\n\n", 'a', 'b', 'c', 'd' ],
    [ 'ids around ends', "data:a\rid:1\n\ndata:b\r\nid:\r\r\ndata:c\nid\r\n\n",
      'a', 'b', 'c' ],
    [ 'bogus retries', "retry:x\ndata:a\n\nretry:1x\nretry:\ndata:b\n\n"
      . "retry:-1\nretry:1.5\nretry: 2\nretry\ndata:c\n\nretry:\x{d9}\xa1\n\n",
      'a', 'b', 'c' ],
    [ 'UTF-8', "data:\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\n\n",
      "\x{e9}\x{20ac}\x{1f600}" ],
    [ 'no UTF-8', "data:\xff\xc3\xed\xa0\x80\n\nev\xc3\xa9nt:a\ndata:\xe9\n\n",
      "\x{fffd}\x{fffd}\x{fffd}\x{fffd}\x{fffd}", "\x{fffd}" ],
    [ 'other ends of lines', "data:a\x0b\x0c\xc2\x85\xe2\x80\xa8b\n\n",
      "a\x0b\x0c\x{85}\x{2028}b" ],
    [ 'unfinished', "data:a\n\ndata:b\n", 'a' ],
    [ 'unfinished in a line', "data:a\n\ndata:b", 'a' ],
    [ 'unfinished behind a CR', "data:a\n\ndata:b\r\n", 'a' ],
    [ 'ended by CR', "data:a\n\ndata:b\n\r", 'a', 'b' ],
    [ 'a long line', "data:$long\n\n", $long ],
    [ 'many lines', 'data:x' . "\ndata:y" x 2000 . "\n\n",
      'x' . "\ny" x 2000 ],
    [ 'no event', "x\n\n:\n\nevent:a\n\nid:1\n\n" ],
    [ 'nothing', '' ],
);

# types of the answer: is it a stream?
my @types = (
    [ 1, 'text/event-stream' ], [ 1, 'TEXT/Event-Stream' ],
    [ 1, 'text/event-stream;' ], [ 1, 'text/event-stream ; charset=UTF-8' ],
    [ 1, 'text/event-stream;charset="utf-8";a=b' ],
    [ 0, undef ], [ 0, 'text/plain' ], [ 0, 'text/event-streams' ],
    [ 0, 'text/event-stream-x' ], [ 0, 'text/event' ],
    [ 0, 'x/text/event-stream' ], [ 0, 'text' ],
);

my $agent = OA::Agent->new(sub {
    my ($c, $request) = @_;

    if ($request->path =~ m{/type/(\d+)$}) {
        $c->head(type => $types[$1][1],
                 headers => [ 'Access-Control-Allow-Origin' => '*' ]);
        $c->event("data:a\n\n");
        return $c->end;
    }

    my ($n, $step) = $request->path =~ m{/(\d+)/(\d+)$};
    my $bytes = $cases[$n][1];
    $c->head(headers => [ 'Access-Control-Allow-Origin' => '*' ]);
    for my $piece ($step ? $bytes =~ /(.{1,$step})/gs : $bytes) {
        $c->event($piece) if length $piece;
    }
    $c->end;
});

my $ng = OA::Nginx->new(http => <<"CONF");
    server {
        listen 127.0.0.1:%%PORT_0%%;
        oa_sse_dialect raw;
        location /raw/ { oa_sse_pass @{[ $agent->url ]}; }
        location /seed/ {
            oa_sse_dialect seed;
            oa_sse_pass @{[ $agent->url ]};
        }
        location = / { default_type text/html; return 200 "<title>x"; }
    }
CONF

# As a test tells them, without the end that is ours.
sub wanted {
    my ($case) = @_;
    my (undef, undef, @events) = @$case;
    return [ map { ref $_ ? $_ : [ message => "$_" ] } @events ];
}

sub without_end {
    my ($name, @events) = @_;
    is_deeply pop @events, [ message => '[DONE]' ], "$name: our end";
    return \@events;
}

# cut anywhere, each event has an id of ours and no other
for my $i (0 .. $#cases) {
    my $case = $cases[$i];
    my $name = $case->[0];
    my @steps = length $case->[1] < 1000 ? (0, 1, 2, 3) : 0;

    for my $path (map { ("/raw/$i/$_", "/seed/$i/$_") } @steps) {
        my $s = OA::Events->new($ng->port, $path);
        my @events = $s->all;
        is_deeply without_end("$name: $path",
                              map { [ @$_{qw(event data)} ] } @events),
            [ map { [ @$_{qw(event data)} ] } OA::Events->parse($case->[1]) ],
            "$name: $path" or diag $s->raw;
        is_deeply [ map { $_->{id} } @events ],
            [ map { $s->header('OA-Stream') . "-$_" } 1 .. @events ],
            "$name: ids";
    }
}

for my $i (0 .. $#types) {
    my ($good, $type) = @{ $types[$i] };
    my $name = $type // 'no type';
    my @events = OA::Events->new($ng->port, "/raw/type/$i")->all;
    if ($good) {
        is_deeply [ map { $_->{data} } @events ], [ 'a', '[DONE]' ], $name;
    } else {
        is @events, 1, "$name: the end";
        like $events[0]{data}, qr/"code":"machine_type"/, "$name: why";
    }
}

my $script = <<'JS';
const [urls, names] = arguments;

function read(url) {
    return new Promise(resolve => {
        const source = new EventSource(url);
        const events = [];
        const add = e => events.push([ e.type, e.data ]);
        for (const name of names) {
            source.addEventListener(name, add);
        }
        source.onerror = () => { source.close(); resolve(events) };
    });
}

(async () => {
    const all = [];
    for (const url of urls) {
        all.push(await read(url));
    }
    done(all);
})();
JS

SKIP: {
    skip 'no chromium-driver: make deps', 1 unless OA::Browser->is_there;
    my $browser = OA::Browser->new;
    $browser->open('http://127.0.0.1:' . $ng->port . '/');

    my @names = ('message', 'a', 'b', 'b ');
    my $results = sub {
        my ($url, @paths) = @_;
        my @urls = map { "$url/raw/$_" } @paths;
        return @{ $browser->run_async($script, \@urls, \@names) };
    };
    my $url = 'http://127.0.0.1:' . $ng->port;
    my @paths = map { "$_/0" } 0 .. $#cases;
    my @direct = $results->($agent->url, @paths);
    my @ours = $results->($url, @paths);

    for my $i (0 .. $#cases) {
        my $name = $cases[$i][0];
        is_deeply $direct[$i], wanted($cases[$i]), "$name: Chromium, directly";
        is_deeply without_end("$name: Chromium", @{ $ours[$i] }),
            $direct[$i], "$name: Chromium, by us";
    }

    @paths = map { "type/$_" } 0 .. $#types;
    @direct = $results->($agent->url, @paths);
    @ours = $results->($url, @paths);

    for my $i (0 .. $#types) {
        my ($good, $type) = @{ $types[$i] };
        my $name = $type // 'no type';
        is @{ $direct[$i] }, $good, "$name: Chromium, directly";
        is @{ $ours[$i] }, $good + 1, "$name: Chromium, by us";
    }
}

done_testing;
