# SPDX-License-Identifier: Apache-2.0
# libnbd's own view of the server: what it may do, and the errors of what it may not, sent all the same.
# Run with the URI of a writable export of 16 MiB of zeroes as the argument.
import errno
import sys

import nbd

uri = sys.argv[1]
h = nbd.NBD()

h.set_strict_mode(0)
h.add_meta_context("base:allocation")
h.connect_uri(uri)


def fails(number, call):
    try:
        call()
    except nbd.Error as e:
        assert e.errnum == number, (number, str(e))
    else:
        raise AssertionError("no error: expected " + errno.errorcode[number])


def ignore(*args):
    return 0


size = h.get_size()
assert h.get_structured_replies_negotiated()
assert h.can_meta_context("base:allocation")
for can in (h.can_df, h.can_fua, h.can_flush, h.can_trim, h.can_zero, h.can_fast_zero,
            h.can_cache, h.can_multi_conn):
    assert can(), can
assert h.get_block_size(nbd.SIZE_MAXIMUM) == 32 << 20

fails(errno.EINVAL, lambda: h.pread(512, size))
fails(errno.EINVAL, lambda: h.trim(512, size))
fails(errno.EINVAL, lambda: h.cache(512, size))
fails(errno.ENOSPC, lambda: h.pwrite(bytearray(512), size))
fails(errno.ENOSPC, lambda: h.zero(512, size))
fails(errno.EINVAL, lambda: h.block_status(512, size, ignore))
fails(errno.EINVAL, lambda: h.pread(512, 0, flags=nbd.CMD_FLAG_FAST_ZERO))
fails(errno.EINVAL, lambda: h.trim(512, 0, flags=nbd.CMD_FLAG_DF))
fails(errno.EINVAL, lambda: h.pread((32 << 20) + 512, 0))

h.pwrite(b"\x5a" * 70000, 1000, flags=nbd.CMD_FLAG_FUA)
h.flush()
chunks = []
data = h.pread_structured(1 << 20, 0, lambda *chunk: chunks.append(chunk) or 0,
                          flags=nbd.CMD_FLAG_DF)
assert data[1000:71000] == b"\x5a" * 70000
assert len(chunks) == 1 and chunks[0][2] == nbd.READ_DATA, chunks
h.zero(70000, 1000, flags=nbd.CMD_FLAG_NO_HOLE)
assert h.pread(70000, 1000) == bytes(70000)

extents = []
h.block_status(1 << 20, 0, lambda name, offset, pairs, error: extents.append((name, pairs)) or 0)
assert len(extents) == 1 and extents[0][0] == "base:allocation", extents
assert sum(extents[0][1][::2]) >= 1 << 20, extents
h.block_status(1 << 20, 4096, lambda name, offset, pairs, error: extents.append(pairs) or 0,
               flags=nbd.CMD_FLAG_REQ_ONE)
assert len(extents[1]) == 2 and extents[1][0] <= 1 << 20, extents

simple = nbd.NBD()
simple.set_strict_mode(0)
simple.set_request_structured_replies(False)
simple.connect_uri(uri)
assert not simple.can_df()
fails(errno.EINVAL, lambda: simple.pread(512, 0, flags=nbd.CMD_FLAG_DF))
fails(errno.EINVAL, lambda: simple.block_status(512, 0, ignore))
assert simple.pread(512, 0) == bytes(512)

old = nbd.NBD()
old.set_handshake_flags(0)
old.connect_uri(uri)
assert old.get_size() == size and old.pread(512, size - 512) == bytes(512)
old.shutdown()
simple.shutdown()
h.shutdown()
print("all kept")
