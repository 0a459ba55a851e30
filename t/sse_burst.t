# Ten thousand events at once, many times what the buffer holds, all reach a
# client that reads: in order, without a gap.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Agent;
use OA::Events;
use OA::Nginx;
use OA::Tls qw(make_certificates);
use OA::Util qw(temp_dir);

my $n = 10_000;

my %burst = (
    tiny  => join('', map { "data:$_\n\n" } 1 .. $n),
    cr    => join('', map { "data: $_\r\r" } 1 .. $n),
    bare  => "data\n\n" x $n,
    sizes => join('', map { 'data: ' . 'x' x ($_ * 37 % 4500) . "\n\n" }
                      1 .. 1000),
    mixed => join('', map { $_ % 100 ? "data: $_\n\n"
                            : 'data: ' . 'x' x 9000 . "\n\n" } 1 .. $n),
);

my $agent = OA::Agent->new(sub {
    my ($c, $r) = @_;
    my ($name, $step) = $r->path =~ m{/(\w+)/(\d+)$};
    $c->wait('go');
    $c->head(hold => 1);
    $c->bytes(join '', map { sprintf "%x\r\n%s\r\n", length, $_ }
              unpack "(a$step)*", $burst{$name});
    $c->end;
});

my $http2 = OA::Nginx->version < 1.025001 ? ' http2;' : '; http2 on;';
my $dir = temp_dir();
make_certificates($dir);

my $ng = OA::Nginx->new(http => <<"CONF");
    server {
        listen 127.0.0.1:%%PORT_0%%;
        listen 127.0.0.1:%%PORT_1%%$http2
        listen 127.0.0.1:%%PORT_2%% ssl;
        ssl_certificate $dir/cert.pem; ssl_certificate_key $dir/key.pem;
        location /      { oa_sse_pass @{[ $agent->url ]}; }
        location /small { oa_sse_pass @{[ $agent->url ]}; oa_sse_buffer 8k; }
    }
CONF

for my $case ([ 'tiny/9', 0 ], [ 'tiny/100000', 0 ], [ 'cr/777', 0 ],
              [ 'bare/60000', 0 ], [ 'mixed/5000', 0 ],
              [ 'small/tiny/70000', 0 ], [ 'small/sizes/70000', 0 ],
              [ 'tiny/50000', 0, accept => undef ],
              [ 'tiny/50000', 1, http2 => 1 ], [ 'mixed/7', 1, http2 => 1 ],
              [ 'tiny/50000', 2, tls => 1 ])
{
    my ($path, $port, @o) = @$case;
    my $what = join ' ', $path, map { $_ // '-' } @o;
    my ($name) = $path =~ m{(\w+)/\d};
    my $s = OA::Events->new($ng->port($port), "/$path", @o);
    if ($what =~ /http2/) {
        $s->head;
        $s->grant(10_000_000);          # a window of a browser's size
    }
    $agent->say('go');
    my @events = $s->all;
    my @want = OA::Events->parse($burst{$name});

    is scalar(grep { $_->{event} eq 'gap' } @events), 0, "$what: no gap";
    is scalar @events, @want + 1, "$what: all";
    is $events[-1]{data}, '[DONE]', "$what: the end";
    my ($stream) = $s->header('OA-Stream');
    my @wrong = grep { $events[$_]{data} ne $want[$_]{data}
                       or $events[$_]{id} ne "$stream-" . ($_ + 1) }
                0 .. $#want;
    is scalar @wrong, 0, "$what: in order, each with its id";
}

done_testing;
