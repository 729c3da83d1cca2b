/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The user NAT's helper process: what the main program needs to dispatch to it, and the messages
 * between the two.
 *
 * One SOCK_SEQPACKET socket pair. Each message is one byte of type and a payload:
 *
 *   to the helper    NAT_CONFIG  struct nat_config, once, first
 *                    NAT_FRAME   an Ethernet frame from the guest
 *   from the helper  NAT_UP      forwards are bound, the sandbox is closed, frames flow
 *                    NAT_ERROR   text: could not start; the helper ends
 *                    NAT_DOWN    the worker died and is being replaced
 *                    NAT_FRAMES  Ethernet frames for the guest, each after its length (uint32_t):
 *                                what the worker has at once comes in one message, since to wake
 *                                the other side costs more than to copy a frame
 *
 * Neither side trusts the other's lengths.
 */
#ifndef NET_NAT_H
#define NET_NAT_H

#include "base/err.h"

#define NAT_ARGV0        "bothy-nat"
#define NAT_FD           3 /* the helper's end of the socket pair */
#define NAT_MAX_FORWARDS 64
#define NAT_PATH_MAX     512 /* bytes of a path below the TFTP directory, with its end */
#define NAT_BOOTFILE_MAX 128
#define NAT_CONFIG_MAGIC 0x62746e33u
/*
 * Where the guest's card can be told, packets are larger than on a wire: each costs the guest's TCP
 * and the NAT about the same, whatever its size. Eight of them fill a window of libslirp's (128
 * KiB), so that sender and receiver work at the same time; with four, half the speed was measured.
 */
#define NAT_MTU_LARGE 16384u

/*
 * Bytes of frames and lengths in a NAT_FRAMES: two large ones, which a guest's TCP answers with one
 * acknowledgement (RFC 9293, 3.8.6.3). It works on those while the worker makes the window's other
 * half; with a whole window in a message the two only waited for each other.
 */
#define NAT_MESSAGE_MAX (33u * 1024u)

enum nat_message {
	NAT_CONFIG = 'C',
	NAT_FRAME = 'F',
	NAT_FRAMES = 'M',
	NAT_UP = 'U',
	NAT_DOWN = 'D',
	NAT_ERROR = 'E',
};

struct nat_forward {
	uint32_t host_addr; /* network byte order */
	uint16_t host_port, guest_port;
	uint8_t udp, pad_[3];
};

struct nat_config {
	uint32_t magic;
	uint32_t parent_pid; /* the helper ends when this process has */
	uint16_t n_forwards;
	uint8_t restrict_host;
	uint8_t pad_;
	uint16_t mtu; /* of the guest's network: 1500 or NAT_MTU_LARGE */
	uint8_t pad2_[2];
	struct nat_forward forwards[NAT_MAX_FORWARDS];
	char tftp[NAT_PATH_MAX]; /* absolute; "" = no TFTP server */
	char bootfile[NAT_BOOTFILE_MAX];
};

/**
 * nat_helper_main() - main() of the helper: call it when argv[0] is NAT_ARGV0, before anything else
 * Return: exit status.
 */
int nat_helper_main(int argc, char **argv);

/** nat_config_valid() - @len bytes that arrived as a configuration: usable? Any bytes. */
bool nat_config_valid(const void *p, size_t len);

#endif
