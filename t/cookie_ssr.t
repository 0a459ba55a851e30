# Cookies of the real @supabase/ssr: the token that it wrote is read, and what
# it reads from damaged ones is read as well; what is stripped it cannot read.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use JSON::PP;
use OA::Node qw(node_ask);
use OA::Util qw(top slurp spew temp_dir spawn reap);

my $url = 'https://abcdefghijklmnopqrst.supabase.co';
my $name = 'sb-abcdefghijklmnopqrst-auth-token';
my $reader = top() . '/build/unit/cookie_read';
plan skip_all => 'built by "make unit"' unless -x $reader;

my $json = JSON::PP->new->utf8->canonical;

# What we read of Cookie headers, and leave of them.
sub ours {
    my $tmp = temp_dir();
    spew("$tmp/in", join '', map { "$name\t$_\n" } @_);
    my $pid = spawn(argv => [ 'sh', '-c', 'exec "$0" < in > out', $reader ],
                    dir => "$tmp", output => "$tmp/err");
    my $status = reap($pid, 60);
    is $status, 0, 'the reader ended well' or diag slurp("$tmp/err");
    my @answers = map { [ split /\t/, $_, 2 ] }
                  split /\n/, slurp("$tmp/out");
    is @answers, @_, 'an answer for each header';
    return @answers;
}

sub theirs {
    return map { $_->{token} }
           node_ask('cookies.mjs', map { { read => $_, url => $url } } @_);
}

# A token of a real size; only its form counts here.
my @chars = ('A' .. 'Z', 'a' .. 'z', 0 .. 9, '-', '_');
my $n = 0;
sub token {
    $n++;
    return join '.', 'eyJhbGciOiJSUzI1NiIsImtpZCI6ImsxIiwidHlwIjoiSldUIn0',
        map { my $len = $_; join '', map { $chars[($n * 7 + $_ * 13) % 64] }
                                     1 .. $len } 560, 342;
}

# As the server words it: the token first.  JSON::PP sorts, so by hand.
sub session {
    my ($token, %user) = @_;
    return '{"access_token":"' . $token . '","token_type":"bearer",'
        . '"expires_in":3600,"expires_at":4102444800,'
        . '"refresh_token":"v1r2x3","user":' . $json->encode(\%user) . '}';
}

# Lines of requests are JSON already, where the order of names counts.
sub writing {
    my ($sessions, %o) = @_;
    my $rest = $json->encode({ url => $url, %o });
    return '{"write":[' . join(',', @$sessions) . '],' . substr $rest, 1;
}

# Cookies as they are written

my (@cases, @requests);

# Text that takes so many characters in a cookie, which splits at 3180.
my %pad = (
    'base64url ascii' => sub { 'x' x ($_[0] * 3 / 4) },
    'base64url wide'  => sub { "a\x{fc}\x{20ac}\x{1f600}" x ($_[0] * 3 / 40) },
    'raw ascii'       => sub { 'x' x $_[0] },
    'raw wide'        => sub { "a\x{fc}\x{20ac}\x{1f600}" x ($_[0] / 28) },
);

for my $client ('server', 'browser') {
    for my $how (sort keys %pad) {
        for ([ 1, 100 ], [ 2, 3400 ], [ 5, 12900 ]) {
            my ($chunks, $size) = @$_;
            my $token = token();
            my $name = $pad{$how}->($size);
            push @requests, writing(
                [ session($token, id => 'u1',
                          user_metadata => { name => $name }) ],
                client => $client, encoding => $how =~ s/ .*//r);
            push @cases, [ "$client, $how", $token, $chunks ];
        }
    }

    # a shorter session over a longer one, and the other way round
    my @long = ('u1', user_metadata => { name => 'x' x 6000 });
    my ($one, $two) = (token(), token());
    push @requests,
        writing([ session($one, id => @long), session($two, id => 'u1') ],
                client => $client),
        writing([ session($one, id => 'u1'), session($two, id => @long) ],
                client => $client);
    push @cases, [ "$client, from long to short", $two, undef ],
                 [ "$client, from short to long", $two, undef ];
}

# and a server that words it otherwise
my $token = token();
push @requests, writing(
    [ '{"user":{"id":"u1"},"refresh_token":"r","access_token":"' . $token
      . '","expires_in":3600,"expires_at":4102444800,"token_type":"bearer"}' ],
    client => 'server');
push @cases, [ 'the token behind others', $token, 1 ];

my @written = node_ask('cookies.mjs', @requests);
is @written, @cases, 'all were written';

my (%counts, @headers, @of);

for my $i (0 .. $#cases) {
    my ($what, undef, $chunks) = @{ $cases[$i] };
    my @cookies = @{ $written[$i]{cookies} };
    my @full = grep { $_->{value} ne '' } @cookies;
    if (defined $chunks) {
        is @full, $chunks, "$what: in $chunks";
        $counts{$chunks}++;
    }

    my @pairs = split /; /, $written[$i]{header};
    for (join('; ', @pairs), join(';', reverse @pairs),
         join('; ', 'a=b', map({ ($_, 'theme=dark') } reverse @pairs),
              "$name-code-verifier=x"))
    {
        push @headers, $_;
        push @of, $i;
    }
}

is join(' ', sort keys %counts), '1 2 5', 'all sizes';

my @got = ours(@headers);
my @real = theirs(@headers);
my @left = theirs(map { $_->[1] } @got);

for my $i (0 .. $#headers) {
    my ($what, $token) = @{ $cases[$of[$i]] };
    $what .= ', ' . ('as written', 'reversed', 'among others')[$i % 3];
    is $got[$i][0], $token, "$what: read";
    is $real[$i], $token, "$what: read as by the original";
    is $left[$i], undef, "$what: stripped";
    is $got[$i][1],
        $i % 3 == 2 ? join('; ', 'a=b',
                           ('theme=dark') x (() = $headers[$i] =~ /theme/g),
                           "$name-code-verifier=x") : '',
        "$what: what is left";
}

# Cookies that are damaged, or written by others.  What the original reads is
# read, but for two different ones of one name.

my $whole = $headers[0];
my ($value) = $whole =~ /=(.*)/;
my @chunked = grep { /\.4=/ && !/theme/ } @headers;

@headers = (
    "$name=$value=", "$name=$value==", "$name= $value ", "$name=$value%3D%3D",
    "$name=$value%0A", "$name =$value", "$name=\"$value\"", " $name=$value",
    "$name=%62ase64-" . substr($value, 7), "$name=x$value", "$name=b",
    "$name=base64-", "$name=base64", "$name=", $name, "$name=; $name.0=$value",
    "$name.0=$value", "$name.1=$value", "$name.0=$value; $name.1=",
    "$name.0=$value; $name.2=x", "$name.00=$value", "$name.0=; $name.1=$value",
    "$name.0=" . substr($value, 0, 99) . "; $name.1=" . substr($value, 99),
    "$name.0=" . substr($value, 0, 3) . "; $name.1=" . substr($value, 3),
    "$name=$value; $name.0=x", "$name=x; $name.0=$value",
    "x$name=$value", "${name}x=$value", uc($name) . "=$value",
    "$name-code-verifier=$value", "a=\"; $name=$value; b=\"",
    "a, $name=$value", "a=b,$name=$value", "a; $name=$value", ";;$name=$value",
    "=$name=$value", "$name==$value",
    map({ "$name=$_" }
        map({ my $text = $_; $text, $text =~ s/([^\w.])/sprintf '%%%02X',
                                                   ord $1/ger }
            session(token(), id => 'u'), ' ' . session(token(), id => 'u'),
            session(token(), id => 'u', name => '100%'))),
);

srand 1;
for (1 .. 400) {
    my $header = $chunked[rand @chunked];
    for (0 .. rand 3) {
        my $at = int rand length $header;
        my $how = int rand 6;
        if    ($how == 0) { substr($header, $at, 1) = '' }
        elsif ($how == 1) { substr($header, $at, 0) = '=' }
        elsif ($how == 2) { substr($header, $at, 0) = ' ' }
        elsif ($how == 3) { substr($header, $at, 1 + rand 3000) = '' }
        elsif ($how == 4) { $header =~ s/\.(\d)=/'.' . int(rand 6) . '='/e }
        else              { substr($header, $at, 1) = $chars[rand 64] }
    }
    push @headers, $header;
}

@got = ours(@headers);
@real = theirs(@headers);
@left = theirs(map { $_->[1] } @got);
my ($read, $more) = (0, 0);

for my $i (0 .. $#headers) {
    my $what = length $headers[$i] > 70
        ? substr($headers[$i], 0, 70) . '...' : $headers[$i];

    # names that we refuse where values differ
    my (%values, $twice);
    for (split /;/, $headers[$i]) {
        /^[ \t]*([^=]*?)[ \t]*=[ \t]*(.*?)[ \t]*$/ or next;
        $twice = 1 if defined $values{$1} && $values{$1} ne $2;
        $values{$1} //= $2;
    }

    if ($twice) {
        ok $got[$i][0] eq '!' || $got[$i][0] eq ($real[$i] // $got[$i][0]),
            "two of one name: $what";
    } elsif (defined $real[$i]) {
        is $got[$i][0], $real[$i], "as by the original: $what";
        $read++;
    } else {

        # a session that is damaged behind its token, or a bare token
        $more++ if $got[$i][0] !~ /^[-!]$/;
    }
    is $left[$i], undef, "stripped: $what";
}

cmp_ok $read, '>=', 50, "$read of " . @headers . " were read by both";
note "$more only by us, since a signature will tell";

done_testing;
