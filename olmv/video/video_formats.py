"""Which files are videos: the one list of containers, with the endings of their names and the bytes they begin with.

An ending is believed, so that a broken `a.mp4` is told as broken; a file with any other ending, or with none, is looked
into. What is read in the end is for FFmpeg to say, see `olmv.video.readers.containers`.
"""

import re

__all__ = ["AUDIO", "DEMUXERS", "VIDEO_EXTENSIONS", "begins_as"]

# FFmpeg's demuxers and the endings of their files. Playlists (concat, hls, dash, image sequences, sdp) are left out on
# purpose: they name other files, and a text file renamed .mp4 must not make olmv read its neighbours.
_ENDINGS = {
    "mov,mp4,m4a,3gp,3g2,mj2": "mp4 m4v mp4v mov qt f4v 3gp 3gpp 3g2 3gp2 mj2 mjp2 ismv insv lrv lrf 360",
    "matroska,webm": "mkv mk3d webm",
    "avi": "avi divx",
    "mpegts": "ts mts m2ts m2t tod trp tp",
    "mpeg": "mpg mpeg vob mod mpe",
    "mpegvideo": "m1v m2v mpv",
    "m4v": "",
    "flv": "flv",
    "asf": "asf wmv",
    "ogg": "ogv ogm",
    "gif": "gif",
    "apng": "",  # among the pictures
    "h264": "h264 264 avc",
    "hevc": "hevc h265 265",
    "av1,obu": "obu",
    "ivf": "ivf",
    "nut": "nut",
    "mxf": "mxf",
    "rm": "rm rmvb",
    "dv": "dv dif",
    "mjpeg": "mjpeg mjpg",
    "yuv4mpegpipe": "y4m",
    "vc1": "vc1",
    "wtv": "wtv",
}
DEMUXERS = ",".join(_ENDINGS)
VIDEO_EXTENSIONS = frozenset("." + ending for endings in _ENDINGS.values() for ending in endings.split())

AUDIO = "audio"
_BEGINNINGS = (
    (AUDIO, re.compile(rb".{4}ftyp(?:M4[ABP] |F4[AB] )", re.DOTALL)),
    ("mov", re.compile(rb".{4}(?:ftyp|moov|mdat|wide|pnot|free\0|skip\0)", re.DOTALL)),
    ("matroska", re.compile(rb"\x1aE\xdf\xa3.*?(?:webm|matroska)", re.DOTALL)),
    ("avi", re.compile(rb"RIFF.{4}AVI[ X\x19]", re.DOTALL)),
    ("mpegts", re.compile(rb"(?:G.{187}){4}G|.{4}(?:G.{191}){4}G", re.DOTALL)),
    ("mpeg", re.compile(rb"\0\0\x01[\xba\xb3]")),
    ("flv", re.compile(rb"FLV\x01[\x01\x05]")),
    ("asf", re.compile(rb"0&\xb2u\x8ef\xcf\x11\xa6\xd9\0\xaa\0b\xcel")),
    ("ogg", re.compile(rb"OggS.{24,4000}?(?:\x80theora|\x01video|BBCD\0|OVP80)", re.DOTALL)),
    (AUDIO, re.compile(rb"OggS|RIFF.{4}WAVE|ID3[\x02-\x04]|fLaC|FORM.{4}AIF[FC]|#!AMR", re.DOTALL)),
    ("h264", re.compile(rb"\0?\0\0\x01(?:\x09.{1,6}\0\0\x01)?[\x27\x47\x67]", re.DOTALL)),
    ("hevc", re.compile(rb"\0?\0\0\x01(?:\x46\x01.{1,6}\0\0\x01)?\x40\x01", re.DOTALL)),
    ("ivf", re.compile(rb"DKIF\0\0")),
    ("nut", re.compile(rb"nut/multimedia container\0")),
    ("mxf", re.compile(rb"\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d\x01\x02\x01\x01[\x02\x03]")),
    ("rm", re.compile(rb"\.RMF\0")),
    ("dv", re.compile(rb"\x1f\x07\0[\x3f\xbf]")),
    ("yuv4mpegpipe", re.compile(rb"YUV4MPEG2 ")),
    ("wtv", re.compile(rb"\xb7\xd8\0 7I\xda\x11\xa6N\0\x07\xe9^\xad\x8d")),
)


def begins_as(head: bytes) -> str | None:
    """Tell a video by the first 4096 bytes of its file.

    Returns:
        One of FFmpeg's names for its container, `AUDIO` for sound alone, or None for anything else. A container that
        mostly holds videos counts as one: what is in it, only opening it tells.
    """
    return next((name for name, pattern in _BEGINNINGS if pattern.match(head)), None)
