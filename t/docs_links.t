# What the documents lead to is there: files, headings and tests; and every
# directive and variable of the code is described.

use strict;
use warnings;

use Test::More;

use FindBin;
use lib "$FindBin::Bin/lib";

use OA::Util qw(slurp top);

my $top = top();
my @documents = map { s{^\Q$top\E/}{}r }
    glob("$top/*.md $top/docs/*.md $top/bench/*.md");

# As GitHub makes them of headings.
sub anchors {
    my ($text) = @_;
    $text =~ s/^```.*?^```$//gms;
    return map { lc s/[^\w\- ]//gr =~ tr/ /-/r } $text =~ /^#+ (.*)$/gm;
}

# What is missing of what a document leads to.
sub missing {
    my ($path, $text) = @_;
    my ($dir) = $path =~ m{^(.*/)?[^/]*$};
    my @missing;

    my @links = ($text =~ /\]\(([^)\s]+)\)/g,
                 $text =~ /^\[[^\]]+\]:\s+(\S+)$/gm);
    for my $link (grep { !/^https?:/ } @links) {
        my ($file, $anchor) = $link =~ /^([^#]*)(?:#(.*))?$/;
        my $to = "$top/" . ($dir // '') . $file;
        my $there = $file eq '' ? $text : -e $to ? slurp($to) : undef;
        push @missing, $link
            if !defined $there
               or defined $anchor && !grep { $_ eq $anchor } anchors($there);
    }

    push @missing, grep { !-e "$top/$_" } $text =~ m{`(t/[\w./]+)`}g;

    return @missing;
}

for my $path (@documents) {
    is_deeply [ missing($path, slurp("$top/$path")) ], [], $path;
}

is_deeply [ missing('docs/x.md', <<'TEXT') ],
# Of a thing_that is
[a](#of-a-thing_that-is) [b](#nothing) [c](../README.md) [d](gone.md)
[e](directives.md#oa_zone) [f](directives.md#oa_nothing) [g][h]
`t/unit.t` `t/gone.t`
[h]: gone.html
TEXT
    [ '#nothing', 'gone.md', 'directives.md#oa_nothing', 'gone.html',
      't/gone.t' ],
    'what is not there is found';

my $code = join '', map { slurp($_) } glob "$top/ngx_oa_*/*.c";
my $directives = slurp("$top/docs/directives.md");
my %anchor = map { $_ => 1 } anchors($directives);

my @names = $code =~ /\{ ngx_string\("(oa_\w+)"\),\s+\(?NGX_\w+/g;
cmp_ok @names, '>=', 20, 'directives were found';
is_deeply [ grep { !$anchor{$_} } @names ], [], 'each has its entry';

my @variables = $code =~ /\{ ngx_string\("(oa_\w+)"\), NULL/g;
cmp_ok @variables, '>=', 20, 'variables were found';
is_deeply [ grep { $directives !~ /`\$\Q$_\E/ } @variables ], [],
    'each has its line';

done_testing;
