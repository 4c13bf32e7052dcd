# SPDX-License-Identifier: MIT
# The addon alone, with node-gyp, on request: `npm run build:gyp`. cmake-js builds the same sources by default. `root` is the way
# from the directory node-gyp works in to this one: node-gyp empties "build" there, which must not be ours.
{
  'variables': {
    'root%': '.',
  },
  'targets': [
    {
      'target_name': 'minipend',
      'sources': [
        '<!@(node <(root)/scripts/gyp-paths.mjs sources)',
      ],
      'include_dirs': [
        '<!@(node <(root)/scripts/gyp-paths.mjs includes)',
        '<(root)/native/fltsim/include',
      ],
      'defines': ['NAPI_VERSION=9', 'NAPI_DISABLE_CPP_EXCEPTIONS'],
      'cflags!': ['-fno-exceptions'],
      'cflags_cc!': ['-fno-exceptions', '-fno-rtti', '-std=gnu++17', '-std=gnu++1y'],
      'cflags_cc': ['-std=gnu++20', '-fexceptions', '-fvisibility=hidden'],
      'xcode_settings': {
        'CLANG_CXX_LANGUAGE_STANDARD': 'gnu++20',
        'GCC_ENABLE_CPP_EXCEPTIONS': 'YES',
        'GCC_SYMBOLS_PRIVATE_EXTERN': 'YES',
        'MACOSX_DEPLOYMENT_TARGET': '11.0',
      },
      'msvs_settings': {
        'VCCLCompilerTool': {'ExceptionHandling': 1, 'AdditionalOptions': ['/std:c++20']},
      },
      'conditions': [
        ['OS!="win"', {'include_dirs': ['<(root)/native/ddk/include']}],
        ['OS=="linux"', {'libraries': ['-ldl', '-lpthread']}],
      ],
    },
  ],
}
