# The harness itself: nginx, the client, the resolver.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Client qw(http_get http_raw http_many h2_request request_bytes);
use OA::Nginx;
use OA::Resolver;
use OA::Util qw(slurp wait_for);

my $dns = OA::Resolver->new('one.example' => '127.0.0.1',
                            'six.example' => '::1');

my %stock = (modules => []);
my $server = OA::Nginx->version < 1.025001
    ? 'listen 127.0.0.1:%%PORT_1%% http2;'
    : 'listen 127.0.0.1:%%PORT_1%%; http2 on;';

my $ng = OA::Nginx->new(%stock,
    workers => 2,
    env     => { COLOUR => 'blue' },
    main    => 'env COLOUR;',
    files   => { 'page' => 'page at %%PORT_0%%' },
    http    => <<"CONF");
        resolver @{[ $dns->address ]} valid=1s;
        resolver_timeout 1s;

        server {
            listen 127.0.0.1:%%PORT_0%%;
            location / {
                return 200 "host=\$http_host method=\$request_method";
            }
            location /empty { return 204; }
            location /file { alias %%DIR%%/page; }
            location /to/ {
                set \$name \$arg_name;
                proxy_pass http://\$name:%%PORT_0%%/empty;
            }
        }

        server {
            $server
            location / {
                add_header X-Long "abcdefghijklmnopqrstuvwxyz 0123456789";
                return 200 "\$http_host \$host";
            }
        }
CONF

my $port = $ng->port;

subtest 'one request' => sub {
    my $r = http_get($port, '/', host => 'a.example',
                     headers => [ 'X-A' => 'b' ]);
    is $r->status, 200, 'status';
    is $r->body, 'host=a.example method=GET', 'body';
    is $r->header('connection'), 'close', 'header';

    is http_get($port, '/empty')->status, 204, 'no body';
    is http_get($port, '/file')->body, "page at $port",
        'a worker reads a file';
    is http_raw($port, "GET / HTTP/1.0\r\n\r\n")->body,
        'host= method=GET', 'raw bytes';
    is http_raw($port, "HEAD / HTTP/1.0\r\n\r\n")->status, 200, 'HEAD';
    is http_raw($port, "\0\r\n\r\n")->status, 400, 'not HTTP';
};

subtest 'a connection kept' => sub {
    my $c = OA::Client->new($port);
    is $c->get('/', host => 'one')->body, 'host=one method=GET', 'first';
    is $c->get('/empty')->status, 204, 'second';
    is $c->get('/', host => 'two', close => 1)->body,
        'host=two method=GET', 'third';
    ok $c->closed, 'closed';
};

subtest 'many at once' => sub {
    my @r = http_many($port, [ map { request_bytes('/', host => "h$_",
                                     close => 1) } 1 .. 50 ]);
    is_deeply [ map { $_->body } @r ],
        [ map { "host=h$_ method=GET" } 1 .. 50 ], 'each its own answer';
};

subtest 'HTTP/2' => sub {
    my $r = h2_request($ng->port(1), authority => 'A.example:80');
    is $r->status, 200, 'status';
    like $r->body, qr/ a\.example$/, 'body';
    is $r->header('x-long'), 'abcdefghijklmnopqrstuvwxyz 0123456789',
        'a header';
    is h2_request($ng->port(1), authority => 'a' x 300 . '.example')->status,
        200, 'a long one';
    my $bad = h2_request($ng->port(1), authority => "a\nb");
    like $bad->error // $bad->status, qr/^(?:reset 1|400)$/, 'an invalid one';
};

subtest 'resolver' => sub {
    is http_get($port, '/to/?name=one.example')->status, 204, 'resolved';
    is $dns->count('one.example', 'A'), 1, 'asked once';
    is http_get($port, '/to/?name=none.example')->status, 502, 'no such name';
    $dns->silent(1);
    is http_get($port, '/to/?name=two.example')->status, 502, 'no answer';
    $dns->silent(0);
    $dns->set('two.example' => '127.0.0.1');
    is http_get($port, '/to/?name=two.example')->status, 204, 'another name';
};

subtest 'reload and death' => sub {
    my @before = $ng->worker_pids;
    is @before, 2, 'two workers';
    ok $ng->reload, 'reloaded';
    my @after = $ng->worker_pids;
    is @after, 2, 'two again';
    isnt "@after", "@before", 'others';

    my $pid = $ng->kill_worker(1);
    ok !kill(0, $pid), 'one was killed';
    is $ng->worker_pids, 2, 'another came';

    $ng->write_conf(http => 'nonsense;');
    $ng->expect_log(qr/unknown directive "nonsense"/);
    ok !$ng->reload, 'a wrong configuration';
    is http_get($port, '/empty')->status, 204, 'the old one stays';
};

subtest 'nginx -t' => sub {
    my ($exit, $err) = OA::Nginx->test_config(%stock, http => 'nonsense;');
    is $exit, 1, 'wrong';
    like $err, qr/\[emerg\] unknown directive "nonsense" in \S+:\d+$/m,
        'the reason';
    ($exit) = OA::Nginx->test_config(%stock);
    is $exit, 0, 'right';
    ok !eval { OA::Nginx->new(%stock, http => 'nonsense;') }, 'no start';
    like $@, qr/unknown directive/, 'and why';
};

subtest 'what fails a test' => sub {
    my @cases = (
        [ 'clean',      '',                                           0 ],
        [ 'alert',      'spew_log("1 [alert] 2#2: dead");',           1 ],
        [ 'emerg',      'spew_log("1 [emerg] 2#2: dead");',           1 ],
        [ 'sanitizer',  'spew_log("ERROR: AddressSanitizer: heap");', 1 ],
        [ 'undefined',  'spew_log("x.c:1:2: runtime error: shift");', 1 ],
        [ 'expected',   'spew_log("1 [alert] 2#2: dead");
                         $ng->expect_log(qr/dead/);',                 0 ],
        [ 'stopped',    'spew_log("1 [alert] 2#2: dead"); undef $ng;', 1 ],
    );
    for my $case (@cases) {
        my ($name, $code, $expected) = @$case;
        my $pid = open(my $out, '-|') // die;
        if (!$pid) {
            open STDERR, '>&', \*STDOUT;
            exec $^X, "-I$FindBin::Bin/lib", '-MTest::More', '-MOA::Nginx',
                '-e', q{my $ng = OA::Nginx->new(modules => []);
                        sub spew_log {
                            open my $fh, '>>', $ng->path('error.log');
                            print $fh "$_[0]\n";
                        }
                        } . $code . q{ok 1; done_testing;};
        }
        my $text = do { local $/; <$out> };
        close $out;
        is $? >> 8, $expected, $name or diag $text;
    }
};

my $dir = $ng->dir;
my @pids = ($ng->pid, $ng->worker_pids);
undef $ng;
ok !-e $dir, 'no folder is left';
ok !grep({ kill 0, $_ } @pids), 'no process is left';

done_testing;
