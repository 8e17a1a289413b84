import { chmod, mkdir } from 'node:fs/promises';
import { writeTrust } from '../certificate/trust.ts';
import { SidecarError } from '../error.ts';

/** Others look into it, and only its owner writes. */
const FOLDER_MODE = 0o755;

/**
 * Writes the files that make clients trust `certificate` (see `writeTrust`) into a folder that they see, which is made
 * where there is none. What is there already and right is left alone. Errors: `config-invalid`.
 */
export async function shareTrust(
  folder: string,
  certificate: string,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<void> {
  try {
    const made = await mkdir(folder, { recursive: true, mode: FOLDER_MODE });
    // The umask takes bits away.
    if (made !== undefined) await chmod(folder, FOLDER_MODE);
    await writeTrust(folder, certificate, environment);
  } catch (cause) {
    const detail = `--trust: nothing can be written into ${folder} (${(cause as Error).message})`;
    throw new SidecarError('config-invalid', { detail, cause });
  }
}
