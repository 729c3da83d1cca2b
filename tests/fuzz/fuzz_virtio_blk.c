/* SPDX-License-Identifier: Apache-2.0 */
/* The virtio block device on a disk in memory against a hostile driver (fuzz_virtio.h). */
#include "fuzz_disk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct fuzz_device fd = {
		disk_make, disk_event, disk_request, disk_rewind, disk_check,
	};

	fuzz_virtio(&fd, data, size);
	return 0;
}
