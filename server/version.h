/* version.h - the version of this build, by Semantic Versioning. The CHANGELOG says what it brought. */
#ifndef STARLING_SERVER_VERSION_H
#define STARLING_SERVER_VERSION_H

#define STARLING_VERSION "0.1.0"

#endif
