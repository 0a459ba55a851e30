package OA::Browser;

# A real browser, Chromium without a window, driven by WebDriver.

use strict;
use warnings;

use Carp qw(croak);
use HTTP::Tiny ();
use JSON::PP ();
use Scalar::Util qw(weaken);

use OA::Util qw(wait_for free_port slurp temp_dir spawn reap at_exit);

my $DRIVER = '/usr/bin/chromedriver';
my $CHROMIUM = '/usr/bin/chromium';

my $JSON = JSON::PP->new->utf8->allow_nonref;

sub is_there { -x $DRIVER && -x $CHROMIUM }

sub new {
    my ($class) = @_;
    my $self = bless {
        tmp => temp_dir(), port => free_port(),
        http => HTTP::Tiny->new(timeout => 60, proxy => undef,
                                no_proxy => '127.0.0.1'),
    }, $class;
    my $tmp = "$self->{tmp}";

    # a group of processes of its own, which ends as one
    $self->{pid} = spawn(
        argv => [ 'setsid', $DRIVER, "--port=$self->{port}" ],
        env => { PATH => $ENV{PATH}, HOME => $tmp, TMPDIR => $tmp },
        dir => $tmp, output => "$tmp/driver.log");

    weaken(my $weak = $self);
    at_exit(sub { $weak->stop if $weak; '' });

    wait_for {
        my $r = $self->{http}->get("http://127.0.0.1:$self->{port}/status");
        $r->{success} && $JSON->decode($r->{content})->{value}{ready};
    } 30 or croak 'chromedriver does not start: ' . slurp("$tmp/driver.log");

    my $session = $self->_call(POST => '', { capabilities => { alwaysMatch => {
        browserName => 'chrome',
        timeouts => { pageLoad => 60000, script => 60000 },
        'goog:chromeOptions' => { binary => $CHROMIUM, args => [
            qw(--headless --no-sandbox --disable-gpu --disable-quic
               --no-first-run --disable-background-networking
               --disable-component-update --disable-sync --no-proxy-server
               --disable-dev-shm-usage),
            "--user-data-dir=$tmp/data" ] },
    } } });
    $self->{session} = "/$session->{sessionId}";

    return $self;
}

sub _call {
    my ($self, $method, $path, $body) = @_;
    my $r = $self->{http}->request($method,
        "http://127.0.0.1:$self->{port}/session" . ($self->{session} // '')
        . $path, $method eq 'POST' ? { content => $JSON->encode($body // {}) }
                                   : {});
    my $value = eval { $JSON->decode($r->{content})->{value} };
    $r->{success} or croak "WebDriver: $method $path: "
        . (ref $value ? $value->{message} : $r->{content});
    return $value;
}

sub open  { $_[0]->_call(POST => '/url', { url => $_[1] }) }
sub url   { $_[0]->_call(GET => '/url') }
sub text  { $_[0]->run('return document.body.innerText') }

# All that there are, for the page that is open.
sub cookies { @{ $_[0]->_call(GET => '/cookie') } }

sub run {
    my ($self, $script, @args) = @_;
    return $self->_call(POST => '/execute/sync',
                        { script => $script, args => \@args });
}

# The script calls "done" with its result.
sub run_async {
    my ($self, $script, @args) = @_;
    return $self->_call(POST => '/execute/async', {
        script => 'const done = arguments[arguments.length - 1];' . $script,
        args => \@args });
}

sub stop {
    my ($self) = @_;
    my $pid = delete $self->{pid} or return;
    eval { $self->_call(DELETE => '') } if $self->{session};
    kill 'TERM', -$pid;
    if (!defined reap($pid, 10)) {
        kill 'KILL', -$pid;
        reap($pid);
    }
    kill 'KILL', -$pid;         # what the driver has left behind
}

sub DESTROY { $_[0]->stop if ${^GLOBAL_PHASE} ne 'DESTRUCT' }

1;

__END__

=head1 SYNOPSIS

    plan skip_all => '...' unless OA::Browser->is_there;

    my $browser = OA::Browser->new;         # a fresh profile
    $browser->open("http://alice.localhost:$port/");
    $browser->url; $browser->text;
    $browser->run('return arguments[0] + 1', 1);
    $browser->run_async('fetch("/").then(r => done(r.status))');
    ($browser->cookies)[0]{name};           # value httpOnly secure sameSite

Every name below localhost is this machine, and trusted like https.

=cut
