//! A seccomp filter refuses io_uring, as container runtimes do. Asked for io_uring, the answer is
//! an error that names the remedy; asked for whatever works, it is epoll, with that error as the
//! reason.

use gpusher_sys::Waker;
use gpusher_sys::choose::{IoChoice, IoDriver, choose};
use gpusher_sys::uring::{Descriptors, UringError, UringOptions};

#[test]
fn blocked_io_uring_is_refused() {
    // The filter binds the thread that installs it, so the test gets a thread of its own.
    std::thread::spawn(|| {
        refuse(libc::SYS_io_uring_setup as u32);
        let error = choose(IoChoice::Uring, Descriptors::Plain).unwrap_err();
        assert!(matches!(error, UringError::Blocked), "{error}");
        assert!(error.to_string().contains("seccomp profile"), "{error}");

        let driver = choose(IoChoice::Auto, Descriptors::Plain).unwrap();
        assert!(matches!(driver, IoDriver::Epoll { instead_of: Some(UringError::Blocked) }));
        driver.open(&UringOptions::default(), None, Waker::new().unwrap()).unwrap();
    })
    .join()
    .unwrap();
}

/// Makes one system call fail with EPERM on this thread.
fn refuse(call: u32) {
    let load_number = libc::sock_filter { code: 0x20, jt: 0, jf: 0, k: 0 };
    let skip_unless = libc::sock_filter { code: 0x15, jt: 0, jf: 1, k: call };
    let answer = |k: u32| libc::sock_filter { code: 0x06, jt: 0, jf: 0, k };
    let refusal = answer(libc::SECCOMP_RET_ERRNO | libc::EPERM as u32);
    let mut filter = [load_number, skip_unless, refusal, answer(libc::SECCOMP_RET_ALLOW)];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: takes no pointers.
    let result = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    assert_eq!(result, 0);
    // SAFETY: `program` and the filter it names are live; the kernel copies them.
    let result =
        unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
}
