# The harness itself: the client of events.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time);

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Agent;
use OA::Client ();
use OA::Events;
use OA::Nginx;

subtest 'the algorithm' => sub {
    my $bom = "\xef\xbb\xbf";
    my @cases = (
        [ "data: a\n\n", 'message|a||' ],
        [ "data: a\r\rdata: b\r\n\r\ndata: c\n\r\n",
          'message|a||', 'message|b||', 'message|c||' ],
        [ "data: a\r\ndata: b\r\n\r\n", "message|a\nb||" ],
        [ "data:a\ndata: b\ndata:  c\n\n", "message|a\nb\n c||" ],
        [ "data\n\n", 'message|||' ],
        [ "data\ndata\n\n", "message|\n||" ],
        [ "data: a", ],
        [ "data: a\n", ],
        [ "event: x\n\ndata: a\n\n", 'message|a||' ],
        [ "event: x\ndata: a\n\ndata: b\n\n", 'x|a||', 'message|b||' ],
        [ "id: 1\ndata: a\n\ndata: b\n\nid\ndata: c\n\n",
          'message|a|1|', 'message|b|1|', 'message|c||' ],
        [ "id: 1\n\nid: a\0b\ndata: a\n\n", 'message|a|1|' ],
        [ "retry: 10\ndata: a\n\nretry: 1x\ndata: b\n\nretry:\ndata: c\n\n",
          'message|a||10', 'message|b||', 'message|c||' ],
        [ "${bom}data: a\n\n${bom}data: b\n\n", 'message|a||' ],
        [ "${bom}${bom}data: a\n\n" ],
        [ "\xef\xbbdata: a\n\n" ],
        [ ": c\n:\ndata: a\n : d\n\n", 'message|a||' ],
        [ "Data: a\ndata : b\ndatax: c\n\n" ],
        [ "data: a:b: c\n\n", 'message|a:b: c||' ],
        [ "data:\t\xff\xc3\n\n", "message|\t\xff\xc3||" ],
        [ "\n\n\rdata: \n\n", 'message|||' ],
    );

    for my $case (@cases) {
        my ($bytes, @want) = @$case;
        for my $n (length $bytes, 1 .. 3) {
            my $parser = OA::Events::Parser->new;
            my @got = map { $parser->parse($_) } $bytes =~ /(.{1,$n})/gs;
            is_deeply [ map { join '|', @$_{qw(event data id)},
                                        $_->{retry} // '' }
                        grep { exists $_->{data} } @got ], \@want,
                OA::Events::_quote($bytes) . ", $n at once";
        }
    }

    my $parser = OA::Events::Parser->new;
    is_deeply [ $parser->parse(": a\n:\n") ],
        [ { comment => ' a' }, { comment => '' } ], 'comments';
    $parser->parse("id: 7\nretry: 20\n");
    is $parser->{last_id}, '', 'no id yet';
    $parser->parse("\n");
    is "$parser->{last_id} $parser->{retry}", '7 20',
        'an id and a time without an event';
};

# an agent that answers with the bytes that it is asked for, hexadecimal

my $agent = OA::Agent->new(sub {
    my ($c, $request) = @_;
    $c->bytes(pack 'H*', $_) for $request->path =~ /([0-9a-f]+)/g;
    $c->wait_closed if $request->method eq 'PUT';
});

sub answer {
    my ($bytes, %o) = @_;
    my $s = OA::Events->new($agent->port, '/' . unpack('H*', $bytes), %o);
    my $how = eval { $s->wait_end } // $s->how_ended;
    return $s, $how;
}

my $chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
my $sized = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n";

subtest 'HTTP/1.1: ends' => sub {
    my @cases = (
        [ "${chunked}9\r\ndata: a\n\n\r\n0\r\n\r\n", 'complete' ],
        [ "${chunked}009;x=y\r\ndata: a\n\n\r\n0\r\n\r\n", 'complete' ],
        [ "${chunked}9\r\ndata: a\n\n\r\n0\r\nx-a: b\r\n\r\n", 'complete' ],
        [ "${chunked}9\r\ndata: a\n\n\r\n0\r\n", 'cut' ],
        [ "${chunked}9\r\ndata: a\n\n\r\n", 'cut' ],
        [ "${chunked}9\r\ndata: a\n\n", 'cut' ],
        [ "${chunked}A\r\ndata: a\n\n", 'cut' ],
        [ "${sized}data: a\n\n", 'complete' ],
        [ "HTTP/1.1 200 OK\r\n\r\ndata: a\n\n", 'closed' ],
        [ "HTTP/1.1 103 Hint\r\n\r\n${sized}data: a\n\n", 'complete' ],
    );
    for my $case (@cases) {
        my ($bytes, $how) = @$case;
        my $what = OA::Events::_quote($bytes);
        my ($s, $ended) = answer($bytes);
        is $ended, $how, $what;
        is $s->raw, "data: a\n\n", 'all bytes';
        is $s->next->{data}, 'a', 'the event';
        is $s->next, undef, 'the end';
        is $s->status, 200, 'status';
    }

    my ($s) = answer("${chunked}0\r\nx-a: b\r\n\r\n");
    is_deeply $s->trailers, [ [ 'x-a', 'b' ] ], 'trailers';
    ok $s->wait_closed, 'closed';

    my ($part, $how) = answer("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"
                              . "data: a\n\n");
    is $how, 'cut', 'a length not reached';

    for my $status (204, 304) {
        my ($s, $how) = answer("HTTP/1.1 $status None\r\n\r\n");
        is $how, 'complete', "$status: at once";
        is $s->status, $status, 'status';
    }

    my $resets = OA::Agent->new(sub { $_[0]->head; $_[0]->reset });
    is +OA::Events->new($resets->port, '/')->wait_end, 'reset', 'a reset';

    (my $none, $how) = answer('HTTP/1.1 200 ');
    is $how, 'cut', 'no head';
    ok !eval { $none->status; 1 }, 'no status';
    like $@, qr/^the end before a head; so far: no head, ended: cut/, 'why';
};

subtest 'HTTP/1.1: malformed' => sub {
    my @cases = (
        "HTTP/1.1 200 OK\nA: b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n"
            . "Transfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        "HTTP/1.1 204 None\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "${sized}data: a\n\n\n",
        "${chunked}x",
        "${chunked}1\n",
        "${chunked}1 \r\n",
        "${chunked}0x1\r\n",
        "${chunked}\r\n",
        "${chunked};",
        "${chunked}1\rx",
        "${chunked}00000000000000001",
        "${chunked}1\r\nab",
        "${chunked}1\r\na\n",
        "${chunked}1\r\na\rb",
        "${chunked}0\r\n\n",
        "${chunked}0\r\na\r\n",
        "${chunked}0\r\n\r\n0\r\n\r\n",
        "${chunked}data: a\n\n",
    );
    for my $bytes (@cases) {
        my ($s, $how) = answer($bytes, method => 'PUT');
        my $what = OA::Events::_quote($bytes);
        is $how, 'malformed', $what;
        ok !eval { $s->next; 1 }, 'no event';
        like $@, qr/^malformed: \w/, 'why';
        $s->close;
    }
};

# HTTP/2, frame by frame, from a server that sends any

my ($end, $headers) = (1, 4);           # END_STREAM, END_HEADERS
my $ok = [ 1, $headers, 1, "\x88" ];    # :status 200

sub frames { join '', map { OA::Client::_h2_frame(@$_) } @_ }

my $server = OA::Agent->new(read => 0, sub {
    my ($c) = @_;
    my $head = $c->take(24 + 9 + 6);    # the preface, settings
    my ($n) = unpack 'N', "\0" . $c->take(3);
    my ($path) = $c->take(6 + $n) =~ m{/([0-9a-f]+)};
    my ($how, $bytes) = unpack 'a H*', pack 'H*', $path;
    $c->bytes(pack 'H*', $bytes);
    return $c->wait_closed if $how ne 'c';
    $c->take(9);                        # the acknowledgement
    $c->end;
});

sub h2_answer {
    my ($frames, %o) = @_;
    my $bytes = frames([ 4, 0, 0, '' ], @$frames);
    my $path = '/' . unpack 'H*', ($o{close} ? 'c' : 'o') . $bytes;
    my $s = OA::Events->new($server->port, $path, http2 => 1, %o);
    return $s, eval { $s->wait_end } // $s->how_ended;
}

subtest 'HTTP/2: ends' => sub {
    my $event = [ 0, 0, 1, "data: a\n\n" ];
    my @cases = (
        [ 'END_STREAM', 'complete', $ok, [ 0, $end, 1, "data: a\n\n" ] ],
        [ 'empty frame', 'complete', $ok, $event, [ 0, $end, 1, '' ] ],
        [ 'padding', 'complete', $ok,
          [ 0, $end | 8, 1, "\x02data: a\n\n\0\0" ] ],
        [ 'trailers', 'complete', $ok, $event,
          [ 1, $end | $headers, 1, "\0\3x-a\1b" ] ],
        [ 'parts', 'complete', [ 1, 0, 1, '' ], [ 9, 0, 1, "\x88" ],
          [ 9, $headers, 1, "\0\3x-a\1b" ], $event, [ 0, $end, 1, '' ] ],
        [ 'hint', 'complete', [ 1, $headers, 1, "\x08\x03103" ], $ok, $event,
          [ 0, $end, 1, '' ] ],
        [ 'RST_STREAM', 'reset', $ok, $event, [ 3, 0, 1, pack 'N', 2 ] ],
        [ 'GOAWAY', 'reset', $ok, $event, [ 7, 0, 0, pack 'N N', 0, 0 ] ],
        [ 'GOAWAY, error', 'reset', $ok, $event,
          [ 7, 0, 0, pack 'N N', 1, 2 ] ],
        [ 'GOAWAY, later', 'complete', $ok, [ 7, 0, 0, pack 'N N', 1, 0 ],
          $event, [ 0, $end, 1, '' ] ],
    );
    for my $case (@cases) {
        my ($what, $how, @frames) = @$case;
        my ($s, $ended) = h2_answer(\@frames);
        is $ended, $how, $what;
        is $s->raw, "data: a\n\n", 'all bytes';
        is $s->next->{data}, 'a', 'the event';
        is $s->next, undef, 'the end';
        is $s->status, 200, 'status';
        is_deeply $s->trailers, [ [ 'x-a', 'b' ] ], 'they are there'
            if $what eq 'trailers';
        is $s->header('x-a'), 'b', 'header' if $what eq 'parts';
    }

    my ($s, $how) = h2_answer([ $ok, $event ], close => 1);
    is $how, 'cut', 'closed';
    ($s, $how) = h2_answer([ [ 3, 0, 1, pack 'N', 7 ] ]);
    is $s->error, 'code 7', 'refused';
};

subtest 'HTTP/2: malformed' => sub {
    my @cases = (
        [ 'data before headers', [ 0, 0, 1, 'x' ] ],
        [ 'another stream', $ok, [ 0, 0, 3, 'x' ] ],
        [ 'data after the end', $ok, [ 0, $end, 1, 'x' ], [ 0, 0, 1, 'x' ] ],
        [ 'headers amid', $ok, $ok ],
        [ 'no status', [ 1, $headers, 1, "\0\3x-a\1b" ] ],
        [ 'upper case', [ 1, $headers, 1, "\x88\0\3X-a\1b" ] ],
        [ 'connection', [ 1, $headers, 1, "\x88\0\12connection\1b" ] ],
        [ 'not HPACK', [ 1, $headers, 1, "\x80" ] ],
        [ 'padding', $ok, [ 0, 8, 1, "\x09x" ] ],
        [ 'push', $ok, [ 5, 0, 1, 'x' ] ],
        [ 'amid headers', [ 1, 0, 1, "\x88" ], [ 0, 0, 1, 'x' ] ],
        [ 'no headers', [ 9, 0, 1, "\x88" ] ],
        [ 'large', $ok, [ 0, 0, 1, 'x' x 16385 ] ],
    );
    for my $case (@cases) {
        my ($what, @frames) = @$case;
        my ($s, $how) = h2_answer(\@frames);
        is $how, 'malformed', $what;
        $s->close;
    }

    my $data = [ 0, 0, 1, 'x' x 1001 ];
    is +(h2_answer([ $ok, $data ], window => 1000))[1], 'malformed', 'window';
};

subtest 'HTTP/2: what the server allows' => sub {
    my $narrow = OA::Agent->new(read => 0, sub {
        my ($c) = @_;
        my ($total, $end_stream) = 0;
        my $more = sub {
            my ($n, $type, $flags) = unpack 'N C C', "\0" . $c->take(9);
            $c->take($n);
            $total += $n if $type == 0;
            $end_stream = $flags & $end if $type == 0;
        };

        $c->take(24);
        $c->bytes(frames([ 4, 0, 0, '' ]));
        $more->() while $total < 65535;
        $c->note("at first $total");
        $c->bytes(frames([ 8, 0, 0, pack 'N', 100 ],
                         [ 8, 0, 1, pack 'N', 40000 ]));
        $more->() while $total < 65635;
        $c->note("then $total");
        $c->bytes(frames([ 8, 0, 0, pack 'N', 40000 ]));
        $more->() while !$end_stream;
        $c->note("at last $total");
        $c->bytes(frames([ 1, $headers | $end, 1, "\x88" ]));
        $c->wait_closed;
    });
    my $s = OA::Events->new($narrow->port, '/', http2 => 1,
                            method => 'POST', body => 'x' x 100_000);
    is $s->wait_end, 'complete', 'all was sent';
    is_deeply [ $narrow->notes ],
        [ 'at first 65535', 'then 65635', 'at last 100000' ], 'by and by';
};

# nginx in between

my $listen = OA::Nginx->version < 1.025001
    ? 'listen 127.0.0.1:%%PORT_1%% http2;'
    : 'listen 127.0.0.1:%%PORT_1%%; http2 on;';

my $origin = OA::Agent->new(sub {
    my ($c, $request) = @_;
    my $path = $request->path;

    if ($path =~ m{^/flood}) {
        $c->head;
        for my $n (1 .. 1000) {
            $c->event('data: ' . 'x' x 16000 . "\n\n");
        }
        $c->note("$path sent");
        return $c->end;
    }
    if ($path eq '/echo') {
        $c->head(length => length $request->body);
        return $c->bytes($request->body);
    }

    $c->head(headers => [ 'X-Method' => $request->method,
                          'X-Accept' => $request->header('Accept') // '-' ]);
    for my $n (1 .. 3) {
        $c->event(": $n\nid: $n\nevent: e$n\ndata: $n\n\n");
        $c->wait('go');
    }
    $path eq '/cut' ? $c->cut : $path eq '/reset' ? $c->reset : $c->end;
});

my $ng = OA::Nginx->new(modules => [], http => <<"CONF");
    client_max_body_size 10m;
    proxy_buffering off;
    server {
        listen 127.0.0.1:%%PORT_0%%;
        listen [::1]:%%PORT_0%%;
        $listen
        location / {
            proxy_http_version 1.1;
            proxy_pass @{[ $origin->url ]};
        }
    }
CONF
$ng->expect_log(qr/upstream prematurely closed|Connection reset/);

for my $case ([ 'HTTP/1.1', 0 ], [ 'HTTP/2', 1, http2 => 1 ]) {
    my ($what, $i, @o) = @$case;
    my $port = $ng->port($i);
    my $cut = $i ? 'reset' : 'cut';

    subtest "$what through nginx" => sub {
        my $start = time;
        my $s = OA::Events->new($port, '/', @o, method => 'POST',
                                body => '{}');
        is $s->status, 200, 'status';
        is $s->header('X-Method'), 'POST', 'method';
        is $s->header('X-Accept'), 'text/event-stream', 'Accept';

        for my $n (1 .. 3) {
            my $e = $s->next;
            is "$e->{event} $e->{data} $e->{id}", "e$n $n $n", "event $n";
            cmp_ok $e->{time}, '>=', $start, 'time';
            is $s->wait_comment->{comment}, " $n", 'comment';
            is $s->how_ended, '', 'goes on';
            ok !eval { $s->next(0.05); 1 }, 'there is no other yet';
            like $@, qr/^no event in time; so far: status 200, .*e$n "$n"/,
                'what was seen';
            $origin->say('go');
        }
        is $s->next, undef, 'the end';
        is $s->how_ended, 'complete', 'complete';
        is $s->chunks, 3, 'three chunks';
        is +($s->chunks)[1]{bytes}, ": 2\nid: 2\nevent: e2\ndata: 2\n\n",
            'as they came';
        is $s->last_id, 3, 'last id';
        is join(' ', map { $_->{data} } $s->all), '1 2 3', 'all';
        is join(' ', map { $_->{comment} } $s->comments), ' 1  2  3',
            'comments';

        is +OA::Events->new($port, '/', @o, accept => undef)
            ->header('X-Accept'), '-', 'without Accept';
    };

    subtest "$what, cut" => sub {
        for my $path (qw(/cut /reset)) {
            $origin->say('go', $path) for 1 .. 3;
            my $s = OA::Events->new($port, $path, @o);
            my @events = $s->rest;
            is @events, 3, "$path: three";
            is $s->how_ended, $cut, 'cut';
        }
    };

    subtest "$what, bodies" => sub {
        my $body = join '', map { "$_ " x 100 . "\n" } 1 .. 5000;
        my $s = OA::Events->new($port, '/echo', @o, method => 'POST',
                                body => $body);
        is $s->wait_end, 'complete', 'end';
        ok $s->raw eq $body, 'sent and received';
    };

    subtest "$what, slow" => sub {
        my $s = OA::Events->new($port, "/flood/$i", @o, rcvbuf => 4096);
        $s->next for 1 .. 3;
        $s->pause;
        ok !eval { $s->next for 1 .. 1000; 1 }, 'nothing is read';
        like $@, qr/^no event while paused/, 'why';
        my $n = length $s->raw;
        ok !$origin->wait_note(qr{^/flood/$i sent}, 0.3), 'nor sent';
        is length $s->raw, $n, 'indeed';
        $s->resume;
        is scalar(() = $s->all), 1000, 'resumed';
        is $s->how_ended, 'complete', 'to the end';
        ok $origin->wait_note(qr{^/flood/$i sent}), 'sent';
    };

    subtest "$what, gone" => sub {
        my $closed = $origin->closed;
        my $s = OA::Events->new($port, '/', @o);
        $s->next;
        $i ? $s->cancel : $s->close(reset => 1);
        ok $origin->wait_closed($closed + 1), 'the origin is told';

        $s = OA::Events->new($port, '/', @o);
        $s->next;
        my $pid = fork // die;                  # has the socket too
        if (!$pid) { sleep 100; POSIX::_exit(0) }
        $s->close;
        ok $origin->wait_closed($closed + 2), 'and of another';
        kill 'KILL', $pid;
        waitpid $pid, 0;
    };
}

subtest 'windows' => sub {
    my $s = OA::Events->new($ng->port(1), '/flood', http2 => 1, updates => 0,
                            window => 3000);
    $s->head;
    ok !eval { $s->rest(0.3); 1 }, 'no more than the window';
    is length $s->raw, 3000, 'and all of it';
    $s->grant(500);
    ok !eval { $s->rest(0.3); 1 }, 'no more than was granted';
    is length $s->raw, 3500, 'and all of that';
    $s->grant(20_000_000);
    is scalar(() = $s->all), 1000, 'the rest';
};

subtest 'addresses, TLS' => sub {
    my $s = OA::Events->new($ng->port, '/', address => '::1');
    is $s->next->{data}, 1, 'IPv6';

    my $tls = OA::Agent->new(tls => 1, names => [ 'a.example' ], sub {
        my ($c) = @_;
        $c->head;
        $c->event("data: a\n\n");
        $c->wait('end');
        $c->number % 2 ? $c->end : $c->cut;
    });
    for my $how (qw(complete cut)) {
        $s = OA::Events->new($tls->port, '/', tls => $tls->ca_file,
                             host => 'a.example');
        is $s->next->{data}, 'a', 'TLS';
        $tls->say('end');
        is $s->next, undef, 'the end';
        is $s->how_ended, $how, $how;
    }
    ok !eval { OA::Events->new($tls->port, '/', tls => $tls->ca_file,
                               host => 'b.example') }, 'another name';
    is +OA::Events->new($tls->port, '/', tls => 1)->status, 200,
        'not verified';
};

done_testing;
