# In a real browser: a stream that an EventSource itself began, by GET, and that
# was cut before its first event, is come back to: it is not begun twice.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Agent;
use OA::Browser;
use OA::Nginx;
use OA::Util qw(wait_for);

plan skip_all => 'no chromium-driver: make deps' unless OA::Browser->is_there;

my $agent = OA::Agent->new(sub {
    my ($c) = @_;
    $c->head;
    $c->wait('on');
    $c->event("data: one\n\ndata: two\n\n");
    $c->end;
});

my $ng = OA::Nginx->new(http => <<"CONF");
    server {
        listen 127.0.0.1:%%PORT_0%%;
        location /chat { oa_sse_pass @{[ $agent->url ]}; }
    }
CONF

my $tunnel = OA::Nginx->new(modules => [], http => <<"CONF");
    server {
        listen 127.0.0.1:%%PORT_0%%;
        location / {
            proxy_pass http://127.0.0.1:@{[ $ng->port ]};
            proxy_http_version 1.1;
            proxy_buffering off;
        }
        location = /page { default_type text/html; return 200 "<title>x"; }
    }
CONF

my $browser = OA::Browser->new;
$browser->open('http://127.0.0.1:' . $tunnel->port . '/page');
$browser->run_async(<<'JS');
    window.events = [];
    window.source = new EventSource('/chat?sessionId=s1');
    source.onmessage = e => events.push(e.data);
    source.onopen = () => done();
JS

sub got { join ' ', @{ $browser->run('return events') } }

ok $agent->wait_requests(1), 'it has begun';
is got(), '', 'no event yet';
$tunnel->kill_worker(0);
$agent->say('on');
ok +(wait_for { got() eq 'one two [DONE]' } 20), 'all came' or diag got();
ok +(wait_for { $browser->run('return source.readyState') == 2 } 20),
    'to the end';
is $agent->requests, 1, 'of one run';

done_testing;
