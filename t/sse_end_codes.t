# All codes that an end can have, each with its words: none is forgotten.

use strict;
use warnings;

use JSON::PP qw(decode_json);
use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Agent;
use OA::Client qw(http_request);
use OA::Events;
use OA::Nginx;
use OA::Util qw(free_port slurp wait_for);

my $source = slurp("$FindBin::Bin/../ngx_oa_sse/ngx_oa_stream.c");
my ($table) = $source =~ /ngx_oa_ends\[NGX_OA_ENDS\] = \{(.*?)\};/s;
my %text = $table =~ /ngx_string\("(.*?)"\),\s+ngx_string\("(.*?)"\)/g;

my $agent = OA::Agent->new(sub {
    my ($c, $request) = @_;
    my ($code) = $request->path =~ m{^/(\w+)};

    $c->bytes('garbage') if $code eq 'machine_protocol';
    $c->head(status => $code eq 'machine_status' ? 500 : 200,
             type => $code eq 'machine_type' ? 'text/html'
                                             : 'text/event-stream');
    $c->event("data: a\n\n");
    $c->event("data: {\"error\":\"Words.\"}\n\n") if $code eq 'agent_error';
    $c->event('data: ' . 'x' x 5_000_000) if $code eq 'event_too_large';
    return if $code eq 'stream_truncated';
    return $c->end if $code eq 'done';
    $c->stall;
});

my $url = $agent->url;
my $nobody = free_port();
my $ng = OA::Nginx->new(workers => 2, main => 'worker_shutdown_timeout 1s;',
                        http => <<"CONF");
    server {
        listen 127.0.0.1:%%PORT_0%%;
        location / { oa_sse_pass $url; }
        location /machine_unreachable { oa_sse_pass http://127.0.0.1:$nobody; }
        location /idle_timeout { oa_sse_pass $url; oa_sse_idle_timeout 100ms; }
        location /max_duration { oa_sse_pass $url; oa_sse_max_duration 100ms; }
        location /abandoned { oa_sse_pass $url; oa_sse_keep 1s; }
    }
CONF

# those which a machine alone does not bring about; what there is then, the
# client gets when it comes back
my %how = (
    stopped => sub {
        my ($name) = @_;
        is http_request($ng->port, "/stopped?stream=$name",
                        method => 'DELETE')->status, 204, 'DELETE';
    },
    abandoned => sub { $_[1]->close },
    shutdown => sub { ok $ng->reload, 'a reload' },
    stream_lost => sub {
        my %old = map { $_ => 1 } $ng->worker_pids;
        $ng->expect_log(qr/exited on signal 9/);
        kill 'KILL', keys %old;
        wait_for { 2 == grep { !$old{$_} } $ng->worker_pids } 10;
    },
);

# what only a worker without connections says
my %elsewhere = (internal_error => 'sse_end_connect.t');

for my $code (sort keys %text) {
    if (my $file = $elsewhere{$code}) {
        like slurp("$FindBin::Bin/$file"), qr/'$code'/, "$code: in $file";
        next;
    }

    my $s = OA::Events->new($ng->port, "/$code");
    my $name = $s->header('OA-Stream');
    my @events;
    if ($how{$code}) {
        push @events, $s->next;
        $how{$code}->($name, $s);
        ok $ng->wait_log(qr/stream "$name" has ended: $code/, 5),
            "$code: in the log" if $code ne 'stream_lost';
        $s->close;
        $s = OA::Events->new($ng->port, "/$code", headers =>
                             [ 'Last-Event-ID' => $events[0]{id} ]);
    }
    push @events, $s->all;
    is $s->how_ended, 'complete', "$code: complete";

    my $end = pop @events;
    is scalar(grep { $_->{data} =~ /DONE|error/ } @events), 0, "$code: one end";

    if ($code eq 'done') {
        is $end->{data}, '[DONE]', "$code: the end";
    } else {
        my $text = $code eq 'agent_error' ? 'Words.' : $text{$code};
        is_deeply decode_json($end->{data}), { error => $text, code => $code },
            "$code: its words";
    }
}
is scalar keys %text, 15, 'all of them';

done_testing;
