package OA::Fly::Failure;

# How a call of the Machines API fails: an answer that is thrown.

use strict;
use warnings;

use Exporter qw(import);

our @EXPORT_OK = qw(fail attempt);

sub fail {
    my ($status, $error, $code, @headers) = @_;
    die bless [ $status, { error => $error, status => $code // 'unknown' },
                @headers ];
}

# What the code returns, or how it failed.
sub attempt (&) {
    my ($code) = @_;
    my $answer = eval { $code->() };
    return $answer if $answer;
    return [ @{ $@ } ] if ref $@ eq __PACKAGE__;
    die $@;
}

1;
