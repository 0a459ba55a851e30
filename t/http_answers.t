# An exchange over HTTP gets the answer whole, or an error that says why not.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time);

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Fetch qw(fetch_nginx fetch);
use OA::Jwks;
use OA::Util qw(free_port);

my $peer = OA::Jwks->new;
my $base = 'http://127.0.0.1:' . $peer->port;
my $gone = free_port();
my $timeout = OA::Nginx->sanitized ? 3 : 1;

my $ng = fetch_nginx(server => <<"CONF");
    location /          { oa_test_fetch $base; }
    location /small     { oa_test_fetch $base max=100; }
    location /short     { oa_test_fetch $base timeout=${timeout}s; }
    location /head      { oa_test_fetch $base method=HEAD; }
    location /post      { oa_test_fetch $base method=POST 'body={"a":1}'
                              "header=Content-Type: application/json"; }
    location /empty     { oa_test_fetch $base method=POST; }
    location /delete    { oa_test_fetch $base method=DELETE; }
    location /gone      { oa_test_fetch http://127.0.0.1:$gone; }
CONF

sub asked { return ($peer->requests)[-1] }

# answers

$peer->body('{"keys":[]}');
my $f = fetch($ng, '/a/b?c=d');
is $f->{error}, '', 'an answer';
is $f->{status}, 200, 'its status';
is $f->{type}, 'application/json', 'its type';
is $f->{answer}, '{"keys":[]}', 'its bytes';
is $f->{retry}, 0, 'no Retry-After';

is asked()->{method}, 'GET', 'the method';
is asked()->{path}, '/a/b?c=d', 'the path';
is_deeply [ sort keys %{ asked()->{headers} } ],
    [ qw(accept connection host user-agent) ], 'the headers';
is asked()->{headers}{host}, '127.0.0.1:' . $peer->port, 'Host';
is asked()->{headers}{connection}, 'close', 'one exchange a connection';

fetch($ng, '/post');
is asked()->{method}, 'POST', 'POST';
is_deeply { map { $_ => asked()->{headers}{$_} }
            qw(content-type content-length expect) },
    { 'content-type' => 'application/json', 'content-length' => 7,
      expect => undef }, 'its headers';
fetch($ng, '/empty');
is asked()->{headers}{'content-length'}, 0, 'an empty POST';
is asked()->{headers}{'content-type'}, undef, 'has no type';
fetch($ng, '/delete');
is asked()->{method}, 'DELETE', 'DELETE';
$f = fetch($ng, '/head');
is asked()->{method}, 'HEAD', 'HEAD';
is "$f->{error}$f->{status}$f->{answer}", '200', 'has no body';

$peer->body('x' x 60000);
is length fetch($ng, '/')->{answer}, 60000, 'a large answer';
$peer->fault(chunked => 1);
is fetch($ng, '/')->{answer}, 'x' x 60000, 'in chunks';
$peer->body('');
$peer->fault();
is_deeply fetch($ng, '/'), { code => 200, error => '', status => 200,
    type => 'application/json', retry => 0, answer => '' }, 'an empty one';

$peer->fault(status => 500, body => 'oops', type => 'text/html',
             headers => [ 'Retry-After' => 7 ]);
is_deeply fetch($ng, '/'), { code => 200, error => '', status => 500,
    type => 'text/html', retry => 7, answer => 'oops' }, 'status 500';

my $other = OA::Jwks->new;
$peer->fault(status => 302, headers => [ Location => $other->url ]);
is fetch($ng, '/')->{status}, 302, 'a redirect';
is $other->count, 0, 'is not followed';

$peer->fault(headers => [ 'Set-Cookie' => 'a=b; Path=/' ]);
fetch($ng, '/');
fetch($ng, '/');
is asked()->{headers}{cookie}, undef, 'a cookie is not kept';

$peer->fault(body => 'x' x 100);
is length fetch($ng, '/small')->{answer}, 100, 'as long as may be';

# no answers

sub fails {
    my ($path, $why, $name, %fault) = @_;
    $peer->fault(%fault);
    my $start = time;
    my $f = fetch($ng, $path);
    like $f->{error}, $why, "$name: fails";
    is "$f->{status}$f->{type}$f->{answer}", '0', "$name: no answer";
    return time - $start;
}

fails('/small', qr/^the answer is too large$/, 'a byte too long',
      body => 'x' x 101);
fails('/small', qr/^the answer is too large$/, 'in chunks',
      body => 'x' x 101, chunked => 1);
fails('/', qr/^the answer is too large$/, 'endless', huge => 1);
fails('/', qr/^the headers of the answer are too large$/, 'long headers',
      headers => [ map { +'X-Long' => 'x' x 1000 } 1 .. 66 ]);
fails('/', qr/\w/, 'cut short', body => 'x' x 1000, truncate => 1);
fails('/', qr/\w/, 'cut short in chunks', body => 'x' x 1000, truncate => 1,
      chunked => 1);
fails('/', qr/\w/, 'garbage', garbage => "\0\1\2\n\n");
fails('/', qr/\w/, 'nothing', garbage => '');
fails('/', qr/\w/, 'half a head', garbage => "HTTP/1.1 200 OK\r\nX: ");
fails('/', qr/^the answer has no length/, 'the rest of the connection',
      garbage => "HTTP/1.0 200 OK\r\n\r\nhalf");
fails('/', qr/^the answer was cut short$/, 'half a head after a whole one',
      garbage => "HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 OK\r\nX: ");
fails('/', qr/reset by peer/, 'reset', reset => 1);
fails('/gone', qr/^no connection to [\d.]+:$gone \(\d+: Connection refused\)$/,
      'nobody there');

for my $case ([ 'no answer', qr/^no answer in time$/, silent => 1 ],
              [ 'a late head', qr/^no answer in time$/, delay => 60 ],
              [ 'a slow body', qr/^the answer was not complete in time$/,
                slow => 60, body => 'x' x 600 ])
{
    my ($name, $why, %fault) = @$case;
    my $took = fails('/short', $why, $name, %fault);
    cmp_ok $took, '>', $timeout * 0.9, "$name: not too early";
    cmp_ok $took, '<', $timeout + 5, "$name: not too late";
}

$peer->fault(garbage => "HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n"
             . "HTTP/1.1 204 No Content\r\n\r\n");
is_deeply fetch($ng, '/'), { code => 200, error => '', status => 204,
    type => '', retry => 0, answer => '' }, 'an answer behind a hint';
$peer->fault(slow => 0.5, body => 'y' x 100);
is fetch($ng, '/')->{answer}, 'y' x 100, 'slow, but in time';

done_testing;
