#!/bin/bash

# SPDX-FileCopyrightText: 2026 the hiperiso authors
#
# SPDX-License-Identifier: MIT

# Brings the distfiles of the payload disk into the system. For bash: this form is put into the
# tree where the step stands behind the first bash. It is read by the running script ("."), so it
# sets nothing and does not exit; its status is what stops that script.

if [ "${PAYLOAD_REQUIRED}" = True ]; then
    payload-import --once /external/payload-imported "${DISTFILES}"
fi
