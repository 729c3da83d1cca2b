/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a monitor says of itself; see edid.c.
 */
#ifndef DEVICE_VIDEO_EDID_H
#define DEVICE_VIDEO_EDID_H

#include "base/base.h"

#define EDID_SIZE 128u

/** edid_build() - an EDID 1.4 block for a monitor that likes @w x @h (at most 4095 each) best. */
void edid_build(uint8_t edid[EDID_SIZE], unsigned w, unsigned h);

#endif
