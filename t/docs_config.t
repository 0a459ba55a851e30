# What the documents tell operators to write, nginx takes, without a word.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Nginx;
use OA::Token qw(key jwks);
use OA::Util qw(slurp top);

# What a block is a part of, told by what stands in it but in no inner block.
my $IN_HTTP = qr/^(?:server|map|log_format|access_log|resolver|oa_zone
                  |oa_postgres|oa_issuer|oa_routes|oa_trusted_certificate
                  |oa_auth_claim_set)$/x;

my $ROUTES = 'oa_routes openagents { domain openagents.example; '
           . 'source file %%DIR%%/routes.json; }';
my $ISSUER = 'oa_issuer supabase { jwks_file jwks.json; '
           . 'issuer https://a.example; audience a; }';

# Any key, and a derived one likewise.
my $SECRET = 'AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8';

my $pem = slurp('/etc/ssl/certs/ca-certificates.crt')
    =~ s/(-----END CERTIFICATE-----\n).*/$1/sr;

# The blocks of a document, each with the line that it begins on.
sub blocks {
    my ($text) = @_;
    my @blocks;
    while ($text =~ /^\s*```nginx\n(.*?)^\s*```$/gms) {
        my ($from, $conf) = ($-[1], $1);
        push @blocks, [ 1 + (substr($text, 0, $from) =~ tr/\n//), $conf ];
    }
    return @blocks;
}

sub directives {
    my ($conf) = @_;
    $conf =~ s/#.*//gm;
    1 while $conf =~ s/\{[^{}]*\}/;/;
    return $conf =~ /(?:^|;)\s*(\w+)/g;
}

# The same with files and ports of our own.
sub here {
    my ($conf) = @_;
    my %port;
    $conf =~ s{(?:/etc|/var)/[\w./-]*/}{%%DIR%%/}g;
    $conf =~ s{(\blisten\s+)(?:\[::\]:)?(\d+)}
              {"${1}127.0.0.1:%%PORT_@{[ $port{$2} //= keys %port ]}%%"}ge;
    return $conf;
}

# nginx -t of a block, as the file NAME:LINE.
sub try {
    my ($name, $line, $conf) = @_;
    my $before = "\n" x ($line - 1);

    # a whole file: what is before http, and the rest
    if ($conf =~ /^(.*?)^http \{$(.*)^\}$/ms) {
        (my $head, $conf) = ($1, $2);
        my @modules = $head =~ m{^load_module modules/(\w+)\.so;}gm;
        my %named = map { $_ => 1 } @modules;
        is_deeply \@modules, [ grep { $named{$_} } @OA::Nginx::MODULES ],
            "$name:$line: modules in their order";
        $before .= "\n" x ($head =~ tr/\n//);
    }

    my @in = directives($conf);
    my $level = (grep { $_ =~ $IN_HTTP } @in) ? 'http'
              : (grep { $_ eq 'location' } @in) ? 'server' : 'location';
    my %env = (FLY_MACHINE_ID => '148e21a5c0d489', FLY_APP_NAME => 'oa-app',
               map { $_ => $SECRET } $conf =~ /env:(\w+)/g);
    $env{DATABASE_URL} = 'postgresql://oa_router@db.internal/postgres';

    # what it speaks of and does not show
    my $around = '';
    $around .= "$ROUTES\n" if $conf !~ /^\s*oa_routes /m;
    $around .= "$ISSUER\n" if $conf !~ /^\s*oa_issuer supabase /m;
    $around .= "resolver 127.0.0.1;\n" if $conf !~ /^\s*resolver /m;
    $around .= "oa_postgres env:DATABASE_URL;\n"
        if $conf =~ /source\s+postgres/ and $conf !~ /^\s*oa_postgres /m;

    my $include = "include $name;";
    $include = "location / { $include }" if $level eq 'location';
    $include = "server { listen 127.0.0.1:%%PORT_99%%; oa_router openagents; "
             . "$include }" if $level ne 'http';

    return OA::Nginx->test_config(
        http  => "$around$include",
        env   => \%env,
        files => {
            $name => here("$before$conf"), 'routes.json' => '{"routes":[]}',
            'jwks.json' => jwks(key('ES256')),
            map({ $_ => $pem } $conf =~ m{/([\w-]+\.pem)}g),
            map({ $_ => $SECRET } $conf =~ m{file:/\S*/([\w-]+)}g),
        });
}

for my $path ('README.md', map { s{.*/(docs/)}{$1}r } glob top() . '/docs/*.md')
{
    my $name = $path =~ s{.*/}{}r;
    my $n = 0;

    for my $block (blocks(slurp(top() . "/$path"))) {
        my ($line, $conf) = @$block;
        my ($exit, $err) = try($name, $line, $conf);
        is $exit, 0, "$path:$line" or diag $err;
        unlike $err, qr/\[(?:warn|error|alert)\]/, 'without a word';
        $n++;
    }

    cmp_ok $n, '>=', 2, "$path: blocks were found"
        if $name =~ /README|directives/;
}

# a mistake is found, and where it is

for my $case (
    [ 'location',                  "oa_acces public;\n" ],
    [ 'server',                    "location / {\noa_access pubic;\n}\n" ],
    [ 'http',                      "oa_zone 16m;\noa_issuer a { }\n" ],
    [ 'a whole file',  "load_module modules/ngx_oa_core_module.so;\n"
                       . "http {\noa_zone 16q;\n}\n" ],
    [ 'something unknown',         "oa_auth nobody;\n" ])
{
    my ($what, $conf) = @$case;
    my ($block) = blocks("text\n\n```nginx\n$conf```\n");
    my ($exit, $err) = try('x.md', @$block);
    is $exit, 1, "$what: refused";
    like $err, qr{\[emerg\] .* in \S+/x\.md:[4-6]$}m, 'and where';
}

done_testing;
