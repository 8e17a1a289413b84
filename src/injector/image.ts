const REFERENCE =
  /^((?:[a-zA-Z0-9.-]+(?::[0-9]+)?\/)?[a-z0-9]+(?:[._/-]+[a-z0-9]+)*)(?::([\w][\w.-]{0,127}))?(?:@([a-z0-9]+:[a-f0-9]{32,128}))?$/;
const REFERENCE_CHARACTERS_MAX = 512;

/**
 * The repository of an image reference (`ghcr.io/a/b` of `ghcr.io/a/b:1.2@sha256:…`); undefined where it is no reference
 * (https://github.com/distribution/reference).
 */
export function repositoryOf(image: string): string | undefined {
  return image.length <= REFERENCE_CHARACTERS_MAX ? REFERENCE.exec(image)?.[1] : undefined;
}

/** Whether the image is CyberArk's own broker, whoever hosts it. */
export function isBrokerImage(image: string): boolean {
  return repositoryOf(image)?.split('/').at(-1) === 'secretless-broker';
}
