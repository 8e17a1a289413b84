# confine.pl ROOT UID GID FOLDER HARDENED PROGRAM [ARGUMENT…]: becomes PROGRAM below ROOT, as a container engine would start
# it. With HARDENED 1: no capability can come back (capabilities(7)), no new privileges, and of the system calls those that
# engines refuse to containers without capabilities are refused here. Perl, since its core is on every Debian and no tool
# of util-linux drops the bounding set after chroot.
use strict;
use warnings;
use POSIX ();
use Time::HiRes ();

my ($root, $uid, $gid, $folder, $hardened, @program) = @ARGV;
my ($PR_CAPBSET_DROP, $PR_SET_SECCOMP, $PR_SET_NO_NEW_PRIVS, $SECCOMP_MODE_FILTER) = (24, 22, 38, 2);
my $machine = (POSIX::uname())[4];
# prctl, AUDIT_ARCH of linux/audit.h, then: ptrace process_vm_readv process_vm_writev mount umount2 pivot_root chroot setns
# unshare keyctl add_key request_key perf_event_open bpf userfaultfd kexec_load init_module delete_module reboot swapon
# and io_uring_setup io_uring_enter io_uring_register, whose numbers are the same everywhere.
my %table = (
    x86_64 => [157, 0xC000003E, 101, 310, 311, 165, 166, 155, 161, 308, 272, 250, 248, 249, 298, 321, 323, 246, 175, 176, 169, 167],
    aarch64 => [167, 0xC00000B7, 117, 270, 271, 40, 39, 41, 51, 268, 97, 219, 217, 218, 241, 280, 282, 104, 105, 106, 142, 224],
);
my ($prctl, $audit, @refused) = @{ $table{$machine} or die "confine: not known: $machine\n" };
push @refused, 425, 426, 427;

chroot($root) && chdir($folder) or die "confine: $root, $folder: $!\n";
if ($hardened) {
    for my $capability (0 .. 63) { last if syscall($prctl, $PR_CAPBSET_DROP, $capability, 0, 0, 0) != 0 }
}
if ($uid != 0) {
    $) = "$gid $gid";
    POSIX::setgid($gid) or die "confine: setgid: $!\n";
    POSIX::setuid($uid) or die "confine: setuid: $!\n";
    # A fork of setuid leaves none; a mistake here must not look like a pass.
    die "confine: still root\n" if POSIX::setuid(0);
}
if ($hardened) {
    syscall($prctl, $PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 or die "confine: no_new_privs: $!\n";
    my $filter = filter($audit, @refused);
    my $program = pack('S x![P] P', length($filter) / 8, $filter);
    syscall($prctl, $PR_SET_SECCOMP, $SECCOMP_MODE_FILTER, $program, 0, 0) == 0 or die "confine: seccomp: $!\n";
}
# When it began, for whoever measures.
printf STDERR "exec %.3f\n", Time::HiRes::time() * 1000 if $hardened;
exec { $program[0] } @program or die "confine: $program[0]: $!\n";

# A program of classic BPF over struct seccomp_data: number at 0, architecture at 4 (seccomp(2)).
sub filter {
    my ($architecture, @numbers) = @_;
    my ($load, $equal, $answer) = (0x20, 0x15, 0x06);
    my ($kill, $refuse, $allow) = (0x80000000, 0x00050001, 0x7fff0000);
    my @code = ([$load, 0, 0, 4], [$equal, 1, 0, $architecture], [$answer, 0, 0, $kill], [$load, 0, 0, 0]);
    for my $number (@numbers) { push @code, [$equal, 0, 1, $number], [$answer, 0, 0, $refuse] }
    push @code, [$answer, 0, 0, $allow];
    return join '', map { pack('S C C L', @$_) } @code;
}
