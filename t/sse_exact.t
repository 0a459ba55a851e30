# What a machine writes is what a client is told, however it was cut on its
# way: the same events as read from the machine itself, but for their ids.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Agent;
use OA::Events;
use OA::Nginx;

my $bom = "\xef\xbb\xbf";

my %stream = (
    lf    => "data: a\n\ndata: b\n\n",
    cr    => "data: a\r\rdata: b\rdata: c\r\r",
    crlf  => "data: a\r\n\r\ndata: b\r\ndata: c\r\n\r\n",
    mixed => "data: a\r\ndata: b\n\rdata: c\r\n\ndata: d\n\r\ndata: e\r\r\n",
    blank => "\n\r\n\r\rdata: a\n\n\n\n\r\n\r\ndata: b\n\n\n",
    bom   => "${bom}data: a\n\n${bom}data: b\n\ndata: $bom\n\n",
    half  => "\xef\xbbdata: a\n\ndata: b\n\n",
    boms  => "$bom${bom}data: a\n\ndata: b\n\n",
    ids   => "id: 1\ndata: a\n\nid\ndata: b\n\nid:\r\ndata: c\r\n\r\n"
             . "data: d\rid: x\rid:y\r\rdata: e\r\nid: 7\n\ndata: f\nid: \0\n\n"
             . "id: 9\n\nids: 3\ndata: g\n\nid : 4\ndata: h\n\n ID: 5\n\n"
             . "data: i\rid: z\n\n",
    names => "event: x\ndata: a\n\nevent:y\rdata: b\r\revent\ndata: c\n\n"
             . "event: z\n\ndata: d\n\nevent: 1\nevent: 2\ndata: e\n\n",
    retry => "retry: 100\ndata: a\n\nretry: x\ndata: b\n\nretry:5\rdata: c\r\r"
             . "data: d\nretry\n\n",
    alone => "retry: 4000\n\ndata: a\n\nretry: 5000\r\rdata: b\n\n"
             . "event: x\nretry: 6000\n\n",
    lines => "data: a\ndata: b\ndata\ndata:\ndata:  c\n\ndata\n\n"
             . "data\rdata\r\r:x\n\n",
    said  => ": hi\ndata: a\n: there\n:\r\ndata: b\r:x\r\r:\n:\n\n:y\n\n"
             . "data: c\n:\n\n",
    other => "Data: a\ndata : b\ndatax: c\n data: d\ndata: e:f: g\nfoo\n\n",
    space => "data:a\ndata: a\ndata:  a\ndata:\ta\ndata: \n\n",
    utf8  => "data: gr\xc3\xbc\xc3\x9fe \xe2\x82\xac \xf0\x9f\xa6\x9e\n\n"
             . "event: \xf0\x9f\xa6\x9e\ndata: \xe2\x80\xa8\xc2\x85\x0b\x0c\n\n",
    bytes => "data: \xff\xfe\xc3\x28\xed\xa0\x80\0\x01\x7f\n\ndata: \xc3\n\n"
             . 'data: ' . join('', map { chr } 0 .. 9, 11, 12, 14 .. 255)
             . "\n\n",
    json  => qq(data: {"text":"Hello"}\n\ndata: {"error":"x","more":1}\n\n)
             . qq(data: {"error":\ndata: 7}\n\n),
    zero  => '',
);

my $agent = OA::Agent->new(sub {
    my ($c, $r) = @_;
    my ($name, $how, $step) = $r->path =~ m{^/(\w+)/(\w+)/(\d+)};
    my $bytes = $stream{$name};
    my @parts = $step ? unpack "(a$step)*", $bytes : $bytes;

    if ($how eq 'cuts') {           # each a segment of its own
        $c->head(close => 1);
        $c->bytes($bytes, step => $step, pace => 0.0003) if $bytes ne '';
        return $c->end;
    }
    if ($how eq 'framing') {        # and so is all the framing
        my $text = join '', map { sprintf "%x;e=\"\"\r\n%s\r\n", length, $_ }
                            grep { length } @parts;
        return $c->bytes("HTTP/1.1 200 Fine\r\n"
            . "Content-Type: text/event-stream\r\n"
            . "Transfer-Encoding: Chunked\r\n\r\n${text}0\r\nx: y\r\n\r\n",
            step => 1, pace => 0.0002);
    }
    $c->head(hold => 1, $how eq 'length' ? (length => length $bytes) : ());
    $c->event($_) for grep { length } @parts;
    $c->end;
});

my $ng = OA::Nginx->new(http => <<"CONF");
    server {
        listen 127.0.0.1:%%PORT_0%%;
        location / { oa_sse_pass @{[ $agent->url ]}; }
        location /raw/ { rewrite ^/raw(/.*) \$1 break;
                         oa_sse_pass @{[ $agent->url ]}; oa_sse_dialect raw; }
    }
CONF

# What a browser dispatches, and how long it waits before it comes back.
sub told {
    my ($s, $ours) = @_;
    $s->wait_end;
    my @events = map { "$_->{event}: $_->{data}" } $s->all;
    is pop @events, 'message: [DONE]', 'the end' if $ours;
    return [ $s->retry, @events ];
}

for my $name (sort keys %stream) {
    my $direct = told(OA::Events->new($agent->port, "/$name/chunks/0"));
    my %raw;

    my @paths = ("/$name/chunks/0", "/$name/length/0", "/$name/chunks/1",
                 "/$name/cuts/1", "/$name/cuts/2", "/$name/cuts/3",
                 "/$name/framing/5", "/raw/$name/chunks/7");

    for (map { [ $_, OA::Events->new($ng->port, $_) ] } @paths) {
        my ($path, $s) = @$_;
        is_deeply told($s, 1), $direct, $path
            or diag OA::Events::_quote($s->raw);

        # ids are ours, and count
        my ($stream) = $s->header('OA-Stream');
        my @ids = map { $_->{id} } $s->all;
        my @n = $name eq 'alone' ? (2, 4, 6) : (1 .. @ids);
        is_deeply \@ids, [ map { "$stream-$_" } @n ], 'ids';
        unlike $s->raw, qr/^:/m, 'no comment stands before an event'
            if $name eq 'blank';

        # how it was cut leaves no trace
        $raw{ $s->raw =~ s/\Q$stream\E/NAME/gr } = 1;
    }
    is scalar keys %raw, 1, "$name: the same bytes";
}

done_testing;
