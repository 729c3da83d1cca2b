/* SPDX-License-Identifier: Apache-2.0 */
/* The MMIO transport, with a block device behind it, against a hostile driver (fuzz_virtio.h). */
#include "fuzz_disk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct fuzz_device fd = {
		disk_make, disk_event, disk_request, disk_rewind, disk_check, .mmio = true,
	};

	fuzz_virtio(&fd, data, size);
	return 0;
}
