# Events that are larger than the buffer reach whoever reads along, whole; who
# comes back to them is told of a gap.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP qw(decode_json);

use OA::Agent;
use OA::Events;
use OA::Nginx;

my $text = join '', map { "$_," } 1 .. 10_000;
sub text { substr $text x ($_[0] / length($text) + 1), 0, $_[0] }

my @sizes = (5, 100_000, 1_000_000, 3_000_000, 7, 200_000, 4_150_000, 9);
my @row = (1_000_000, 1_500_000, 700_000, 5, (300_000) x 3, 5);

my $agent = OA::Agent->new(sub {
    my ($c, $r) = @_;
    my ($how) = $r->path =~ m{^/(\w+)};
    $c->head($how eq 'close' ? (close => 1) : ());
    for my $n ($how eq 'row' ? @row : @sizes) {
        my $text = text($n);
        $c->event($how ne 'lines' ? "data: $text\n"
                  : join '', map { "data: $_\r" } unpack '(a5000)*', $text);
        $c->event($how eq 'lines' ? "\r" : "\n");
        $c->wait('seen') if $how ne 'row';
    }
    $c->wait('end') if $how ne 'row';
    $c->end;
});
my $pass = 'oa_sse_pass ' . $agent->url . ';';

my $http2 = OA::Nginx->version < 1.025001 ? ' http2;' : '; http2 on;';
my $ng = OA::Nginx->new(http => <<"CONF");
    server {
        listen 127.0.0.1:%%PORT_0%%;
        listen 127.0.0.1:%%PORT_1%%$http2
        location /      { $pass }
        location /raw   { $pass oa_sse_dialect raw; }
        location /row   { $pass oa_sse_buffer 16m; }
    }
CONF

for my $case ([ '/line' ], [ '/lines' ], [ '/close' ], [ '/raw' ],
              [ '/line', http2 => 1 ], [ '/line', accept => undef ])
{
    my ($path, @o) = @$case;
    my $what = join ' ', map { $_ // '-' } @$case;
    my $s = OA::Events->new($ng->port($what =~ /http2/ ? 1 : 0), $path, @o);
    my @bad;
    for my $n (@sizes) {
        my $got = $s->next->{data} =~ tr/\n//dr;
        push @bad, $n if $got ne text($n);
        $agent->say('seen', $path);
    }
    is "@bad", '', "$what: all are whole";

    # one who comes back finds what is still there
    my ($stream) = $s->header('OA-Stream');
    my $back = OA::Events->new($ng->port, "/?stream=$stream");
    my $gap = $back->next;
    is $gap->{event}, 'gap', "$what: a gap";
    my $told = decode_json($gap->{data});
    is "$told->{from} $told->{to}", '1 7', 'what is not there';
    is $gap->{id}, "$stream-7", 'its id';
    is $back->next->{data}, text(9), 'what is';
    my $last = OA::Events->new($ng->port, $path,
                               headers => [ 'Last-Event-ID' => "$stream-7" ]);
    is $last->next->{data}, text(9), 'of which there is no gap';

    $agent->say('end', $path);
    is $_->next->{data}, '[DONE]', 'the end' for $s, $back, $last;
}

# where there is room for them they may come faster than they are read
for my $case ([], [ http2 => 1 ], [ rcvbuf => 4096 ]) {
    my $s = OA::Events->new($ng->port("@$case" =~ /http2/ ? 1 : 0), '/row',
                            @$case);
    $s->next;
    my @data = map { $_->{data} } $s->rest;
    is pop @data, '[DONE]', "@$case: the end";
    is join(' ', map { length } @data), "@row[1 .. $#row]",
        "@$case: all of a row";
    is scalar(grep { $data[$_] ne text($row[$_ + 1]) } 0 .. $#data), 0,
        'and whole';
}

done_testing;
