# URLs of servers that are asked, and oa_trusted_certificate: a wrong value
# fails nginx -t.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Fetch;
use OA::Nginx;

sub try {
    my ($conf) = @_;
    return OA::Nginx->test_config(
        modules => OA::Fetch::modules(),
        files => { 'oa.conf' => "\n$conf\n", 'none.pem' => "no certificate\n",
                   'url.conf' => '' },
        http => 'include oa.conf;');
}

sub url {
    my ($url, $http) = @_;
    return ($http // '') . " server { listen 127.0.0.1:%%PORT_0%%; "
           . "location / { oa_test_fetch $url; } }";
}

sub accepted {
    my ($conf) = @_;
    my ($exit, $err) = try($conf);
    is $exit, 0, "taken: $conf" or diag $err;
}

sub refused {
    my ($conf, $why) = @_;
    my ($exit, $err) = try($conf);
    is $exit, 1, "refused: $conf";
    my ($emerg, @more) = $err =~ /^nginx: (\[emerg\].*)/mg;
    like $emerg // '', $why, 'and why';
    like $emerg // '', qr{ in \S+/oa\.conf:2$}, 'and where';
    is @more, 0, 'in one line';
    unlike $err, qr/HUSH/, 'and no password is shown';
}

my $resolver = 'resolver 127.0.0.1;';

accepted(url($_)) for qw(http://127.0.0.1 http://127.1.2.3:8080/v1?a=b
    http://localhost http://LOCALHOST:1/ http://[::1]:1/ https://192.0.2.1/
    https://[2001:db8::1]/ HTTPS://192.0.2.1);
accepted(url($_, $resolver)) for qw(https://a.example/keys
    http://_api.internal:4280/v1 http://a.vm.b.internal https://a-b.example);
accepted(url('https://a.example') . $resolver);

my $https = qr/the URL must begin with "https:\/\/".*".internal"/;

for my $case (
    [ 'http://a.example',              $https ],
    [ 'http://192.0.2.1',              $https ],
    [ 'http://[::2]',                  $https ],
    [ 'http://0.0.0.0',                $https ],
    [ 'http://internal',               $https ],
    [ 'http://a.internal.example',     $https ],
    [ 'http://ainternal',              $https ],
    [ 'http://a.localhost',            $https ],
    [ 'http://127.a.example',          $https ],
    [ 'a.example/keys',                qr/does not begin with "https/ ],
    [ 'ftp://a.example',               qr/does not begin with "https/ ],
    [ 'file:///etc/passwd',            qr/does not begin with "https/ ],
    [ 'https:/a.example',              qr/does not begin with "https/ ],
    [ 'https://u:HUSH@a.example/',     qr/has a user/ ],
    [ 'https://u@a.example/',          qr/has a user/ ],
    [ 'https://a.example/#b',          qr/has a fragment/ ],
    [ 'https://a.example:0/',          qr/invalid/ ],
    [ 'https://a.example:65536/',      qr/invalid/ ],
    [ 'https://a.example:x/',          qr/invalid/ ],
    [ 'https://a..example/',           qr/invalid host/ ],
    [ 'https://a.example./',           qr/invalid host/ ],
    [ 'https://.a.example/',           qr/invalid host/ ],
    [ "https://b\xc3\xbccher.example", qr/invalid host/ ],
    [ '"https://a.example/b c"',       qr/invalid/ ],
    [ 'https://' . 'a' x 64 . '.example', qr/invalid host/ ],
    [ 'https://' . 'a.' x 130 . 'example', qr/too long a host/ ],
    [ 'https://',                      qr/./ ],
    [ '""',                            qr/does not begin/ ])
{
    my ($url, $why) = @$case;
    refused(url($url, $resolver), $why);
}

# a name needs a resolver, in the http block

for my $conf (url('https://a.example/'),
              url('http://a.internal/') =~ s/server \{/server { $resolver/r)
{
    refused($conf, qr/host "a\.\w+" of "oa_test_fetch" is a name, .*"resolver"/);
}

# certificates

my ($ca) = grep { -s } qw(/etc/ssl/certs/ca-certificates.crt);
SKIP: {
    skip 'no bundle of certificates', 2 unless $ca;
    accepted("oa_trusted_certificate $ca;");
    refused("oa_trusted_certificate $ca; oa_trusted_certificate $ca;",
            qr/"oa_trusted_certificate" directive is duplicate/);
}

refused('oa_trusted_certificate none.pem;',
        qr/cannot be loaded from "\S+none\.pem" \(.+\), expected/);
refused('oa_trusted_certificate gone.pem;',
        qr/from "\S+gone\.pem" \(No such file or directory\), expected/);
refused('oa_trusted_certificate;', qr/invalid number of arguments/);

done_testing;
