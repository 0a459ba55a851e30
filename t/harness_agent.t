# The harness itself: an agent's machine.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time);

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Agent;
use OA::Client qw(http_request http_raw);
use OA::Events;
use OA::Nginx;
use OA::Util qw(slurp temp_dir wait_for);

# What a client gets until the connection closes, and how it closes.
sub raw {
    my ($agent, $path) = @_;
    my $c = OA::Client->new($agent->port);
    my $bytes = '';
    $c->send("GET $path HTTP/1.1\r\n\r\n");
    while (1) {
        my $n = sysread $c->socket, $bytes, 65536, length $bytes;
        return ($bytes, defined $n ? 'FIN' : "$!") if !$n;
    }
}

# Of a group, but for those that have ended and wait for their parent.
sub processes {
    my ($group) = @_;
    return grep {
        my $stat = eval { slurp("/proc/$_/stat") } // '';
        $stat =~ /\) ([^Z]) \d+ (\d+) / && $2 == $group;
    } map { m{(\d+)} } glob '/proc/[0-9]*';
}

subtest 'requests' => sub {
    my $agent = OA::Agent->new(sub {
        my ($c, $request) = @_;
        $c->head;
        $c->event($request->body =~ s/^x+\z/length $&/er);
        $c->end;
    });
    like $agent->url, qr{^http://127\.0\.0\.1:\d+\z}, 'url';
    like $agent->url('a'), qr{^http://a:\d+\z}, 'url with a name';
    is $agent->requests, 0, 'none yet';
    is !!$agent->wait_requests(1, 0.05), '', 'none comes';

    my $start = time;
    my $r = http_request($agent->port, '/a?b', method => 'POST', body => 'c',
                         headers => [ 'X-A' => '1', 'x-a' => '2' ]);
    is $r->status, 200, 'status';
    is $r->header('Content-Type'), 'text/event-stream', 'type';
    is $r->body, 'c', 'body';

    ok $agent->wait_requests(1), 'one';
    my ($request) = $agent->requests;
    is $request->method, 'POST', 'method';
    is $request->path, '/a?b', 'path';
    is $request->version, '1.1', 'version';
    is $request->body, 'c', 'body';
    is $request->number, 1, 'number';
    is scalar $request->header('X-A'), 1, 'a header';
    is join(' ', $request->header('X-A')), '1 2', 'all of a name';
    is_deeply $request->headers->[0], [ Host => 'localhost' ], 'in order';
    cmp_ok $request->time, '>=', $start, 'time';
    cmp_ok $request->time, '<=', time, 'in the past';

    is http_request($agent->port, '/', method => 'POST',
                    body => 'x' x 5_000_000)->body, 5_000_000, 'a large one';
    is length +($agent->requests)[1]->body, 5_000_000, 'told whole';

    my $bytes = join '', map { chr } 0 .. 255;
    is http_raw($agent->port, "POST / HTTP/1.1\r\nTransfer-Encoding: chunked"
                . "\r\n\r\n80;x\r\n" . substr($bytes, 0, 128) . "\r\n80\r\n"
                . substr($bytes, 128) . "\r\n0\r\nA: b\r\n\r\n")->body,
        $bytes, 'chunks of any bytes';
    is +($agent->requests)[2]->body, $bytes, 'told';
    is $agent->connections, 3, 'three connections';
};

subtest 'heads and bodies' => sub {
    my $agent = OA::Agent->new(sub {
        my ($c, $request) = @_;
        my %head = (
            '/length' => [ length => 2 ],
            '/close' => [ close => 1 ],
            '/status' => [ status => 502, type => 'text/html',
                           headers => [ 'X-A' => 'b' ] ],
            '/bare' => [ type => undef, reason => 'Fine', version => '1.0' ],
            '/slow' => [ pace => 0.001 ],
            '/held' => [ hold => 1 ],
        );
        $c->head(@{ $head{$request->path} // [] });
        $c->event('a');
        $c->chunk('b') if $request->path eq '/chunk';
        $c->bytes("1;x=y\r\nb\r\n") if $request->path eq '/raw';
        $c->end($request->path eq '/trailers'
                    ? (trailers => [ 'X-T' => 'c' ]) : ());
    });
    my $head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n";
    my $chunked = "Transfer-Encoding: chunked\r\n";
    my $last = "0\r\n\r\n";

    my @cases = (
        [ '/', "$head$chunked\r\n1\r\na\r\n$last" ],
        [ '/length', "${head}Content-Length: 2\r\n\r\na" ],
        [ '/close', "${head}Connection: close\r\n\r\na" ],
        [ '/status', "HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\n"
                     . "${chunked}X-A: b\r\n\r\n1\r\na\r\n$last" ],
        [ '/bare', "HTTP/1.0 200 Fine\r\n$chunked\r\n1\r\na\r\n$last" ],
        [ '/slow', "$head$chunked\r\n1\r\na\r\n$last" ],
        [ '/held', "$head$chunked\r\n1\r\na\r\n$last" ],
        [ '/chunk', "$head$chunked\r\n1\r\na\r\n1\r\nb\r\n$last" ],
        [ '/raw', "$head$chunked\r\n1\r\na\r\n1;x=y\r\nb\r\n$last" ],
        [ '/trailers', "$head$chunked\r\n1\r\na\r\n0\r\nX-T: c\r\n\r\n" ],
    );
    for my $case (@cases) {
        my ($path, $want) = @$case;
        my ($bytes, $how) = raw($agent, $path);
        is $bytes, $want, $path;
        is $how, 'FIN', "$path: closed";
    }
};

subtest 'pace' => sub {
    my $agent = OA::Agent->new(sub {
        my ($c) = @_;
        $c->bytes('abcdefgh', pace => 0.02);
        $c->bytes('ijklmnop', pace => 0.02, step => 3);
    });
    my $c = OA::Client->new($agent->port);
    my ($reads, $bytes, $start) = (0, '', time);
    $c->send("GET / HTTP/1.1\r\n\r\n");
    $reads++ while sysread $c->socket, $bytes, 65536, length $bytes;
    is $bytes, 'abcdefghijklmnop', 'all';
    cmp_ok time - $start, '>=', 9 * 0.02, 'not at once';
    cmp_ok $reads, '>', 4, 'in parts';
};

subtest 'ends' => sub {
    my $agent = OA::Agent->new(sub {
        my ($c, $request) = @_;
        $c->head;
        $c->event('a');
        $c->pause(0.05);
        $c->cut   if $request->path eq '/cut';
        $c->reset if $request->path eq '/reset';
    });
    for my $path (qw(/cut /return)) {
        my ($bytes, $how) = raw($agent, $path);
        like $bytes, qr/\r\n1\r\na\r\n\z/, "$path: no last chunk";
        is $how, 'FIN', 'closed';
    }
    is +(raw($agent, '/reset'))[1], 'Connection reset by peer', 'reset';
    is $agent->closed, 0, 'by none of the clients';
};

subtest 'words' => sub {
    my $agent = OA::Agent->new(sub {
        my ($c) = @_;
        $c->head;
        $c->event("data: 0\n\n");
        for my $n (1 .. 2) {
            $c->wait('go');
            $c->event("data: $n\n\n");
        }
        $c->wait('end');
        $c->end;
    });

    $agent->say('go');
    my $s = OA::Events->new($agent->port, '/a');
    is $s->next->{data}, 0, 'before';
    is $s->next->{data}, 1, 'said before it was waited for';
    ok !eval { $s->next(0.1) }, 'once';
    $agent->say('other');
    ok !eval { $s->next(0.1) }, 'another word';
    $agent->say('go', '/b');
    ok !eval { $s->next(0.1) }, 'for another path';
    $agent->say('go', 2);
    ok !eval { $s->next(0.1) }, 'for another connection';

    my $t = OA::Events->new($agent->port, '/b');
    is join(' ', map { $t->next->{data} } 1 .. 3), '0 1 2', 'both for that';
    $agent->say('go', 1);
    is $s->next->{data}, 2, 'for this connection';

    $agent->say('end', '/a');
    is $s->next, undef, 'the end';
    ok !eval { $t->next(0.1); 1 }, 'not of the other';
    $agent->say('end');
    is $t->next, undef, 'now';
    is $t->how_ended, 'complete', 'complete';
};

subtest 'many' => sub {
    my $agent = OA::Agent->new(sub {
        my ($c, $request) = @_;
        $c->head;
        $c->wait('go', 30);
        $c->event('data: ' . $request->path . "\n\n");
        $c->note('sent ' . $c->number);
        $c->end;
    });
    my $start = time;
    my @s = map { OA::Events->new($agent->port, "/$_") } 1 .. 50;
    ok $agent->wait_requests(50), 'fifty';
    is join(' ', sort { $a <=> $b } map { $_->number } $agent->requests),
        join(' ', 1 .. 50), 'numbered';
    $agent->say('go');
    ok $agent->wait_note(qr/sent/), 'a word';
    ok !$agent->wait_note(qr/never/, 0.1), 'some time';
    is $agent->notes, 1, 'is for one of them';
    $agent->say('go') for 2 .. 50;
    is_deeply [ map { $_->next->{data} } @s ], [ map { "/$_" } 1 .. 50 ],
        'each its own';
    ok $agent->wait_note(qr/^sent $_\z/), "note $_" for 1, 50;
    is $agent->notes, 50, 'all notes';
    note sprintf '%.3f s', time - $start;
};

subtest 'the client goes' => sub {
    my $agent = OA::Agent->new(sub {
        my ($c, $request) = @_;
        my $path = $request->path;
        $c->head;
        $c->event("data: a\n\n");
        $c->wait('never')          if $path eq '/wait';
        $c->pause(60)              if $path eq '/pause';
        $c->stall                  if $path eq '/stall';
        $c->note($c->wait_closed)  if $path eq '/closed';
        if ($path eq '/late') {
            select undef, undef, undef, 0.3;
            $c->event('x');
        }
        while ($path eq '/write') {
            $c->event('x' x 100);
        }
        $c->note("on after $path");
    });

    my $n = 0;
    for my $path (qw(/wait /pause /write /late /stall /closed)) {
        for my $reset (0, 1) {
            my $s = OA::Events->new($agent->port, $path);
            $s->next;
            is $agent->closed, $n, "$path: there";
            $s->close(reset => $reset);
            ok $agent->wait_closed(++$n), "$path: gone";
        }
    }
    ok $agent->wait_note(qr{^on after $_\z}), "$_ returns"
        for qw(/stall /closed);
    is_deeply [ grep { $_ =~ m{^on after /(?!stall|closed)} } $agent->notes ],
        [], 'the others do not';
    ok $agent->wait_note(qr/^closed\z/), 'FIN';
    ok $agent->wait_note(qr/^Connection reset by peer\z/), 'RST';
    is_deeply [ $agent->closed ], [ 1 .. 12 ], 'their numbers';
};

subtest 'nothing is read' => sub {
    my $agent = OA::Agent->new(read => 0, rcvbuf => 4096, sub {
        my ($c, $request) = @_;
        $c->note(defined $request ? 'a request' : 'no request');
        $c->stall;
    });
    my $c = OA::Client->new($agent->port);
    $c->socket->blocking(0);
    my $sent = 0;
    while (my $n = syswrite $c->socket, 'x' x 65536) {
        $sent += $n;
    }
    cmp_ok $sent, '<', 20_000_000, 'the client cannot go on';
    ok $agent->wait_note(qr/^no request/), 'none';

    my $d = OA::Client->new($agent->port);
    $d->send("GET / HTTP/1.1\r\n\r\n");
    ok !$agent->wait_closed(1, 0.1), 'there';
    $d->close;
    ok $agent->wait_closed(1), 'that one has gone is known all the same';
    is $agent->requests, 0, 'no request';
};

subtest 'another request' => sub {
    my $agent = OA::Agent->new(sub {
        my ($c, $request) = @_;
        while ($request) {
            $c->head;
            $c->event($request->path);
            $c->end(keep => 1);
            $request = $c->request;
        }
        $c->note('no more');
    });
    my $c = OA::Client->new($agent->port);
    is $c->get($_)->body, $_, $_ for qw(/a /b);
    $c->close;
    ok $agent->wait_note(qr/no more/), 'no more';
    is join(' ', map { $_->number . $_->path } $agent->requests), '1/a 1/b',
        'two on one connection';
};

subtest 'deaths' => sub {
    my $agent = OA::Agent->new(sub {
        my ($c, $request) = @_;
        my %how = (
            '/die' => sub { die "it hurts\n" },
            '/event' => sub { $c->event('a') },
            '/word' => sub { $c->head; $c->wait('never', 0.01) },
            '/open' => sub { $c->head; $c->wait_closed(0.01) },
            '/twice' => sub { $c->cut; $c->bytes('a') },
        );
        $how{$request->path}();
    });
    my %why = (
        '/die' => qr/^it hurts$/, '/event' => qr/^an event before the head$/,
        '/word' => qr/^nobody has said "never"$/,
        '/open' => qr/^the peer has not closed$/,
        '/twice' => qr/^the connection was closed before$/,
    );
    my $n = 0;
    for my $path (sort keys %why) {
        raw($agent, $path);
        $n++;
        ok !eval { $agent->wait_note(qr/never/); 1 }, "$path: waiting ends";
        like $@, qr/^agent: connection $n: .* at \Q$0\E line/, 'and tells';
        like +($agent->deaths)[-1], $why{$path}, 'why';
        $agent->expect_death($why{$path});
    }
    ok !$agent->wait_note(qr/never/, 0.05), 'expected, it does not';
    is $agent->_deaths, 0, 'nor does the test fail';

    # what makes it fail
    my $pid = open(my $out, '-|') // die "fork: $!";
    if (!$pid) {
        open STDERR, '>&', \*STDOUT;
        exec $^X, "-I$FindBin::Bin/lib", '-e', <<'PERL';
            use OA::Agent;
            use OA::Client;
            { my $scope = OA::Agent->new(sub { die "in a scope\n" });
              eval { OA::Client::http_get($scope->port, '/') } }
            my $agent = OA::Agent->new(sub { die "at the end\n" });
            eval { OA::Client::http_get($agent->port, '/') };
            exit 0;
PERL
    }
    my @lines = <$out>;
    close $out;
    is $? >> 8, 1, 'a death fails the test';
    is_deeply [ sort @lines ], [ "# agent: connection 1: at the end\n",
                                 "# agent: connection 1: in a scope\n" ],
        'which says why';
};

subtest 'the machine' => sub {
    my $agent = OA::Agent->new(sub {
        my ($c) = @_;
        $c->head;
        $c->event("data: $_\n\n"), $c->wait('go') for 1 .. 2;
        $c->end;
    });
    my $s = OA::Events->new($agent->port, '/');
    is $s->next->{data}, 1, 'listens';
    $agent->refuse;
    ok !eval { OA::Client->new($agent->port) }, 'refuses';
    like $@, qr/refused/, 'why';
    $agent->say('go');
    is $s->next->{data}, 2, 'the stream goes on';
    $agent->listen;
    my $t = OA::Events->new($agent->port, '/');
    is $t->next->{data}, 1, 'listens again';
    is $agent->connections, 2, 'number 2';

    my $group = $agent->{pid};
    is processes($group), 3, 'three processes';
    $agent->stop;
    like $s->wait_end, qr/^(?:cut|reset)$/, 'killed';
    is $t->wait_end, $s->how_ended, 'all';
    ok !eval { OA::Client->new($agent->port) }, 'stopped';
    ok wait_for(sub { !processes($group) }), 'none is left';

    $agent->start;
    $s = OA::Events->new($agent->port, '/');
    is $s->next->{data}, 1, 'started';
    is $agent->connections, 3, 'number 3';
    $group = $agent->{pid};
    is processes($group), 2, 'two processes';
    $s->close;
    undef $agent;
    ok wait_for(sub { !processes($group) }), 'none is left';
};

# A test that is killed leaves none.
subtest 'the test dies' => sub {
    my $tmp = temp_dir();
    local $ENV{TMPDIR} = "$tmp";
    my $pid = open(my $out, '-|') // die "fork: $!";
    if (!$pid) {
        exec $^X, "-I$FindBin::Bin/lib", '-e', <<'PERL';
            use OA::Agent;
            use OA::Client;
            my $agent = OA::Agent->new(sub { sleep 60 });
            my $c = OA::Client->new($agent->port);
            $c->send("GET / HTTP/1.1\r\n\r\n");
            $agent->wait_requests(1);
            syswrite STDOUT, "$agent->{pid}\n";
            sleep 60;
PERL
    }
    my $group = <$out>;
    is processes($group), 2, 'there';
    kill 'KILL', $pid;
    ok wait_for(sub { !processes($group) }, 20), 'gone';
    close $out;
};

subtest 'addresses, TLS' => sub {
    my $agent = OA::Agent->new(address => '::1',
                               sub { $_[0]->head; $_[0]->end });
    like $agent->url, qr{^http://\[::1\]:\d+\z}, 'url';
    is http_request($agent->port, '/', address => '::1')->status, 200, 'IPv6';

    my $tls = OA::Agent->new(tls => 1, sub {
        my ($c, $request) = @_;
        $c->head;
        $c->event('data: ' . length($request->body) . "\n\n");
        $request->path eq '/reset' ? $c->reset : $c->wait_closed;
    });
    like $tls->url, qr{^https://127}, 'url';
    my $s = OA::Events->new($tls->port, '/', tls => $tls->ca_file,
                            host => '127.0.0.1', method => 'POST',
                            body => 'x' x 3_000_000);
    is $s->next->{data}, 3_000_000, 'TLS';
    $s->close;
    ok $tls->wait_closed(1), 'closed';
    $s = OA::Events->new($tls->port, '/reset', tls => 1);
    is $s->wait_end, 'reset', 'reset';

    http_raw($tls->port, "GET / HTTP/1.1\r\n\r\n");
    ok $tls->wait_closed(2), 'not TLS';
};

subtest 'behind nginx' => sub {
    my $agent = OA::Agent->new(sub {
        my ($c, $request) = @_;
        $c->head(pace => 0.001);
        $c->event("data: $_\n\n") for 1 .. 3;
        $c->stall;
    });
    my $ng = OA::Nginx->new(modules => [], http => <<"CONF");
        server {
            listen 127.0.0.1:%%PORT_0%%;
            client_max_body_size 10m;
            proxy_buffering off;
            proxy_http_version 1.1;
            location / { proxy_pass @{[ $agent->url ]}; }
        }
CONF
    my $s = OA::Events->new($ng->port, '/x', method => 'POST',
                            body => 'x' x 5_000_000);
    is $s->status, 200, 'a head byte by byte';
    is join('', map { $s->next->{data} } 1 .. 3), '123', 'events';
    is length +($agent->requests)[0]->body, 5_000_000, 'a large body';
    is $agent->closed, 0, 'goes on';
    $s->close;
    ok $agent->wait_closed(1), 'nginx has closed';
};

done_testing;
